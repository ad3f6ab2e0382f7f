"""What the machine is and offers: device, number format, threads, memory, and the other processes of a run."""
