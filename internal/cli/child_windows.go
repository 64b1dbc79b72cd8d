package cli

import "os"

// forwarded are the signals to catch. The console sends ^C to the command itself.
var forwarded = [...]os.Signal{os.Interrupt}

func delivered(os.Signal) bool { return true }

func exitCode(state *os.ProcessState) int { return state.ExitCode() }
