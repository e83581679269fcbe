package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/sealpost/sealpost/cmd/mlsinterop/mlsclient"
	"github.com/sealpost/sealpost/mls"
)

// dial starts a server on loopback and connects to it. Both end with the test.
func dial(t *testing.T) mlsclient.MLSClientClient {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := newGRPCServer()
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
		s.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return mlsclient.NewMLSClientClient(conn)
}

// script drives named members through their servers, as the working group's runner does, and
// compares what they hold after every step.
type script struct {
	*testing.T
	servers []mlsclient.MLSClientClient
	suite   mls.Suite
	private bool // handshake messages
	actors  map[string]*actor
	outside map[string]bool // messages of who is no member
	in      []string        // names of the members, in the order in which they came
}

// actor is one name on one server.
type actor struct {
	mlsclient.MLSClientClient
	state, transaction, signer uint32
}

// eachWay runs a script over two servers with every suite, private and public.
func eachWay(t *testing.T, run func(*script)) {
	servers := []mlsclient.MLSClientClient{dial(t), dial(t)}
	for _, suite := range mls.Suites() {
		for _, private := range []bool{true, false} {
			t.Run(fmt.Sprintf("%v/private=%v", suite, private), func(t *testing.T) {
				run(&script{T: t, servers: servers, suite: suite, private: private, actors: map[string]*actor{}, outside: map[string]bool{}})
			})
		}
	}
}

// ok ends the test on an error.
func ok[T any](resp T, err error) func(*script) T {
	return func(s *script) T {
		s.Helper()
		if err != nil {
			s.Fatal(err)
		}
		return resp
	}
}

// actor returns the one of a name; a new one is on the next server in turn.
func (s *script) actor(name string) *actor {
	a := s.actors[name]
	if a == nil {
		a = &actor{MLSClientClient: s.servers[len(s.actors)%len(s.servers)]}
		s.actors[name] = a
	}
	return a
}

// create founds a group and adds the others in its first commit.
func (s *script) create(founder string, others ...string) {
	s.Helper()
	a := s.actor(founder)
	a.state = ok(a.CreateGroup(s.Context(), &mlsclient.CreateGroupRequest{
		GroupId: []byte("group of " + s.Name()), CipherSuite: uint32(s.suite), EncryptHandshake: s.private, Identity: []byte(founder),
	}))(s).GetStateId()
	s.in = []string{founder}
	if len(others) == 0 {
		return
	}
	var adds []*mlsclient.ProposalDescription
	for _, name := range others {
		adds = append(adds, add(s.keyPackage(name)))
	}
	s.commit(step{by: founder, values: adds, joiners: others})
}

func add(keyPackage []byte) *mlsclient.ProposalDescription {
	return &mlsclient.ProposalDescription{ProposalType: []byte("add"), KeyPackage: keyPackage}
}

func (s *script) keyPackage(name string) []byte {
	s.Helper()
	a := s.actor(name)
	resp := ok(a.CreateKeyPackage(s.Context(), &mlsclient.CreateKeyPackageRequest{CipherSuite: uint32(s.suite), Identity: []byte(name)}))(s)
	a.transaction = resp.GetTransactionId()
	return resp.GetKeyPackage()
}

// step is one commit.
type step struct {
	by           string
	refs         [][]byte
	values       []*mlsclient.ProposalDescription
	joiners      []string
	removed      []string
	forcePath    bool
	externalTree bool
}

// commit makes a commit, and everybody follows or joins.
func (s *script) commit(p step) {
	s.Helper()
	by := s.actor(p.by)
	resp := ok(by.Commit(s.Context(), &mlsclient.CommitRequest{
		StateId: by.state, ByReference: p.refs, ByValue: p.values, ForcePath: p.forcePath, ExternalTree: p.externalTree,
	}))(s)
	for _, message := range append(p.refs[:len(p.refs):len(p.refs)], resp.GetCommit()) {
		s.checkWireFormat(message)
	}
	if p.externalTree != (len(resp.GetRatchetTree()) > 0) {
		s.Fatalf("external tree %v, and one of %d bytes came", p.externalTree, len(resp.GetRatchetTree()))
	}
	by.state = ok(by.HandlePendingCommit(s.Context(), &mlsclient.HandlePendingCommitRequest{StateId: by.state}))(s).GetStateId()
	s.leave(p.removed)
	for _, name := range s.in {
		if a := s.actor(name); name != p.by {
			a.state = ok(a.HandleCommit(s.Context(), &mlsclient.HandleCommitRequest{
				StateId: a.state, Proposal: p.refs, Commit: resp.GetCommit(),
			}))(s).GetStateId()
		}
	}
	for _, name := range p.joiners {
		a := s.actor(name)
		a.state = ok(a.JoinGroup(s.Context(), &mlsclient.JoinGroupRequest{
			TransactionId: a.transaction, Welcome: resp.GetWelcome(), EncryptHandshake: s.private,
			Identity: []byte(name), RatchetTree: resp.GetRatchetTree(),
		}))(s).GetStateId()
		s.in = append(s.in, name)
	}
	s.agree()
}

// checkWireFormat verifies that a handshake message is private or public as the script says.
// Proposals from outside are public always.
func (s *script) checkWireFormat(message []byte) {
	s.Helper()
	const public, private = 1, 2 // RFC 9420 section 6
	want := uint16(public)
	if s.private && !s.outside[string(message)] {
		want = private
	}
	if got := binary.BigEndian.Uint16(message[2:]); got != want {
		s.Fatalf("wire format %d, want %d", got, want)
	}
}

func (s *script) leave(names []string) {
	for _, gone := range names {
		kept := s.in[:0:0]
		for _, name := range s.in {
			if name != gone {
				kept = append(kept, name)
			}
		}
		s.in = kept
	}
}

// agree compares the epoch of every member, and has each write to all others.
func (s *script) agree() {
	s.Helper()
	var authenticator, exported []byte
	for _, name := range s.in {
		a := s.actor(name)
		auth := ok(a.StateAuth(s.Context(), &mlsclient.StateAuthRequest{StateId: a.state}))(s).GetStateAuthSecret()
		export := ok(a.Export(s.Context(), &mlsclient.ExportRequest{StateId: a.state, Label: "label", Context: []byte("context"), KeyLength: 32}))(s).GetExportedSecret()
		if authenticator == nil {
			authenticator, exported = auth, export
		}
		if len(auth) == 0 || !bytes.Equal(auth, authenticator) || len(export) != 32 || !bytes.Equal(export, exported) {
			s.Fatalf("%s does not agree with %s", name, s.in[0])
		}
	}
}

// say has one member write and all others read.
func (s *script) say(from, text string) {
	s.Helper()
	a := s.actor(from)
	message := ok(a.Protect(s.Context(), &mlsclient.ProtectRequest{
		StateId: a.state, AuthenticatedData: []byte("aad"), Plaintext: []byte(text),
	}))(s).GetCiphertext()
	for _, name := range s.in {
		if name == from {
			continue
		}
		to := s.actor(name)
		got := ok(to.Unprotect(s.Context(), &mlsclient.UnprotectRequest{StateId: to.state, Ciphertext: message}))(s)
		if string(got.GetPlaintext()) != text || string(got.GetAuthenticatedData()) != "aad" {
			s.Fatalf("%s read %q with %q", name, got.GetPlaintext(), got.GetAuthenticatedData())
		}
	}
}
