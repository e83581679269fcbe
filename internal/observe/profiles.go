package observe

import (
	"fmt"
	"net/http"
	"runtime/pprof"
	"runtime/trace"
	"strconv"
	"time"
)

// lookups are the profiles that are there at any moment.
var lookups = []string{"allocs", "block", "goroutine", "heap", "mutex", "threadcreate"}

// profiles serves Go's profiles, as go tool pprof asks for them. It is not net/http/pprof, which
// puts itself into every program's default handler, tells the command line, and prints with
// debug=2 what functions were called with: words of ids and keys.
func profiles(mux *http.ServeMux) {
	mux.HandleFunc("GET /debug/pprof/{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		for _, name := range lookups {
			fmt.Fprintf(w, "%s %d\n", name, pprof.Lookup(name).Count())
		}
		fmt.Fprintf(w, "profile?seconds=N\ntrace?seconds=N\n")
	})
	for _, name := range lookups {
		mux.HandleFunc("GET /debug/pprof/"+name, func(w http.ResponseWriter, r *http.Request) { lookup(w, r, name) })
	}
	mux.HandleFunc("GET /debug/pprof/profile", func(w http.ResponseWriter, r *http.Request) {
		during(w, r, 30*time.Second, func() error { return pprof.StartCPUProfile(w) }, pprof.StopCPUProfile)
	})
	mux.HandleFunc("GET /debug/pprof/trace", func(w http.ResponseWriter, r *http.Request) {
		during(w, r, time.Second, func() error { return trace.Start(w) }, trace.Stop)
	})
}

// lookup writes a profile: in pprof's format, or with debug=1 as text, which has functions and
// lines and no values.
func lookup(w http.ResponseWriter, r *http.Request, name string) {
	debug := 0
	switch r.FormValue("debug") {
	case "", "0":
		w.Header().Set("Content-Type", "application/octet-stream")
	case "1":
		debug = 1
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	default:
		http.Error(w, "debug is 0 or 1: more would print values", http.StatusBadRequest)
		return
	}
	_ = pprof.Lookup(name).WriteTo(w, debug) // whoever is gone needs no more of it
}

// during records for as many seconds as the request says, or until its client is gone. Of each
// kind there is one at a time, which begin says.
func during(w http.ResponseWriter, r *http.Request, usual time.Duration, begin func() error, end func()) {
	d := usual
	if text := r.FormValue("seconds"); text != "" {
		n, err := strconv.ParseFloat(text, 64)
		if err != nil || !(n > 0) || n > longestProfile.Seconds() {
			http.Error(w, fmt.Sprintf("seconds is not above 0 and at most %v", longestProfile.Seconds()), http.StatusBadRequest)
			return
		}
		d = time.Duration(n * float64(time.Second))
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	if err := begin(); err != nil {
		http.Error(w, "one is being recorded", http.StatusConflict)
		return
	}
	defer end()
	over := time.NewTimer(d)
	defer over.Stop()
	select {
	case <-over.C:
	case <-r.Context().Done():
	}
}
