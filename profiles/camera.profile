# An indoor camera: it reports its state; pictures do not go this way.
profile camera {
    title    "Indoor camera"
    vendor   "Example Ltd"
    model    CAM-1
    version  1

    publish   d/{device}/t/#
    subscribe d/{device}/c/#

    support-until    2031-12-31
    certificate-life 7d

    # Inside the housing, beside the image sensor.
    stream temperature {
        unit  "°C"
        range -40 85
    }
    # 1 while something moves in the picture.
    stream motion {
        range 0 1
    }
    stream illuminance {
        unit  lx
        range 0 120000
    }
    stream frame_rate {
        unit  Hz
        range 0 120
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
