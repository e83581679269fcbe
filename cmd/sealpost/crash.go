package main

import (
	"io"
	"os"
	"os/signal"
	"runtime/pprof"
	"syscall"
)

// keepQuiet keeps a server that is ended on purpose from writing down what it holds (ATTACKS
// R31). There is no core file, which is the whole memory. And what SIGQUIT prints is where all
// goroutines are: Go's own report would add what functions were called with, ids among it.
func keepQuiet(w io.Writer) {
	forbidCore()
	quit := make(chan os.Signal, 1)
	signal.Notify(quit, syscall.SIGQUIT)
	go func() {
		<-quit
		_ = pprof.Lookup("goroutine").WriteTo(w, 1)
		os.Exit(2) // as Go does
	}()
}
