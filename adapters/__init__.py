"""HSM adapters: one file (or small folder) per kind of device; each implements `hsm_console.hsm.port.Hsm`."""
