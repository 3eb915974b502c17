# A single-phase electricity meter.
profile meter {
    title    "Electricity meter, single phase"
    vendor   "Example Ltd"
    model    EM-1
    version  1

    publish   d/{device}/t/#
    subscribe d/{device}/c/#

    support-until    2036-12-31
    certificate-life 7d

    # Negative when the house feeds into the grid.
    stream power {
        unit  W
        range -25000 25000
    }
    stream voltage {
        unit  V
        range 0 300
    }
    stream current {
        unit  A
        range -100 100
    }
    # The counter since the meter was made; it never goes back.
    stream energy {
        unit  kWh
        range 0 10000000
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
