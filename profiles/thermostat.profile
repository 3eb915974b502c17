# A room thermostat that switches one heating valve.
profile thermostat {
    title    "Room thermostat"
    vendor   "Example Ltd"
    model    TH-2
    version  1

    publish   d/{device}/t/#
    subscribe d/{device}/c/#

    support-until    2033-12-31
    certificate-life 7d

    stream temperature {
        unit  "°C"
        range -20 60
    }
    # Relative.
    stream humidity {
        unit  "%"
        range 0 100
    }
    # What the room should have.
    stream setpoint {
        unit  "°C"
        range 5 30
    }
    # 1 while the valve is open.
    stream heating {
        range 0 1
    }

    # What the agent's sensor `host` measures on the machine it runs on.
    stream load1 {
        range 0 10000
    }
    stream load5 {
        range 0 10000
    }
    stream memory_used_percent {
        unit  "%"
        range 0 100
    }
    stream cpu_temperature {
        unit  "°C"
        range -40 150
    }
    stream net_rx_bytes {
        unit  B
        range 0 1e18
    }
    stream net_tx_bytes {
        unit  B
        range 0 1e18
    }
}
