package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/sealpost/sealpost/internal/adminsocket"
	"github.com/sealpost/sealpost/internal/operatorlog"
)

// Our own limits on the admin socket, which only the server's own user and root reach: they keep
// a command that hangs from holding anything for ever.
const (
	adminHeaderWithin = 10 * time.Second
	adminReadWithin   = 30 * time.Second // a whole request
	adminWriteWithin  = time.Minute      // a part of an answer: a backup goes to a slow disk
	adminRecordWithin = time.Hour        // all records of a store: until then nothing that is written over leaves the disk
	adminBackupWithin = 24 * time.Hour   // a whole backup: until then no expired blob does
	maxAdminHeader    = 8 << 10
	maxAdminBody      = 4 << 10
)

// operator answers the admin socket.
type operator struct {
	server *server
	config serveConfig
	log    *operatorlog.Log
	socket net.Listener // nil where the system has none
	web    *http.Server
	cancel context.CancelFunc // ends what is under way
}

// peerKey is under which a request's context has the id of the user who connected.
type peerKey struct{}

// openOperator opens the operator's log and the admin socket. The stores are open: no other
// server has the folder, and none is served before the queues are as the log has them. A socket that cannot be opened is logged, and messages go on.
func openOperator(cfg serveConfig, s *server) (*operator, error) {
	history, err := operatorlog.Open(operatorLogPath(cfg))
	if err != nil {
		return nil, err
	}
	if err := s.settle(context.Background(), operatorLogPath(cfg)); err != nil {
		return nil, errors.Join(err, history.Close())
	}
	o := &operator{server: s, config: cfg, log: history}
	if o.socket, err = adminsocket.Listen(cfg.Data); err != nil {
		s.log.Warn("there is no admin socket", "error", err)
		o.socket = nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	o.cancel = cancel
	mux := http.NewServeMux()
	mux.HandleFunc("POST /backup", o.backup)
	mux.HandleFunc("POST /check", o.check)
	mux.HandleFunc("POST /suspend", o.suspending(true))
	mux.HandleFunc("POST /resume", o.suspending(false))
	o.web = &http.Server{
		Handler:           http.MaxBytesHandler(mux, maxAdminBody),
		Protocols:         new(http.Protocols),
		ReadHeaderTimeout: adminHeaderWithin,
		ReadTimeout:       adminReadWithin,
		MaxHeaderBytes:    maxAdminHeader,
		ErrorLog:          log.New(io.Discard, "", 0),
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			user := "-"
			if uid, known := adminsocket.Peer(c); known {
				user = strconv.Itoa(uid)
			}
			return context.WithValue(ctx, peerKey{}, user)
		},
	}
	o.web.Protocols.SetHTTP1(true)
	return o, nil
}

// serve answers until close.
func (o *operator) serve() {
	if o.socket == nil {
		return
	}
	if err := o.web.Serve(o.socket); !errors.Is(err, http.ErrServerClosed) {
		o.server.log.Warn("the admin socket is closed", "error", err)
	}
}

// close ends what is under way, a backup too, and closes socket and log.
func (o *operator) close() error {
	o.cancel()
	err := o.web.Close()
	if o.socket != nil {
		_ = o.socket.Close() // closed already, unless nothing served it
	}
	return errors.Join(err, o.log.Close())
}

// note writes down an action before it is done: subject is the name of a record, or "-". If the
// line cannot be written the action is not to be done, which the caller is told of.
func (o *operator) note(w http.ResponseWriter, r *http.Request, action, subject string) bool {
	user, _ := r.Context().Value(peerKey{}).(string)
	err := o.log.Add(operatorlog.Entry{Time: time.Now(), Action: action, Subject: subject, User: user})
	if err != nil {
		http.Error(w, fmt.Sprintf("nothing was done, since it cannot be written down: %v", err), http.StatusInternalServerError)
	}
	return err == nil
}

// patient is an answer whose every part has adminWriteWithin.
type patient struct {
	http.ResponseWriter
	control *http.ResponseController
}

// newPatient also lifts the deadline of the request, which has been read: it would end the
// request's context in the middle of a long answer.
func newPatient(w http.ResponseWriter) patient {
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{})
	return patient{w, control}
}

// Write implements [io.Writer].
func (p patient) Write(b []byte) (int, error) {
	if err := p.control.SetWriteDeadline(time.Now().Add(adminWriteWithin)); err != nil {
		return 0, err
	}
	return p.ResponseWriter.Write(b)
}
