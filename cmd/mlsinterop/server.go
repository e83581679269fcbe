package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sealpost/sealpost/cmd/mlsinterop/mlsclient"
	"github.com/sealpost/sealpost/mls"
)

const (
	// maxKept bounds what is kept for the runner, which frees only a part of it. What was not
	// used for the longest time goes first.
	maxKept = 4096
	// keepEpochs is how many past epochs a member reads late messages of.
	keepEpochs = 8
	// maxCall bounds one call: the largest are Welcomes and trees of some hundred members.
	maxCall = 4 << 20
)

// server answers the calls, one file a chapter.
type server struct {
	mlsclient.UnimplementedMLSClientServer
	kept shelf
}

// newGRPCServer is a gRPC server with a server of ours in it that has no state yet.
func newGRPCServer() *grpc.Server {
	g := grpc.NewServer(
		grpc.UnaryInterceptor(oneAtATime()),
		grpc.MaxRecvMsgSize(maxCall), grpc.MaxSendMsgSize(maxCall), grpc.MaxConcurrentStreams(16),
	)
	mlsclient.RegisterMLSClientServer(g, &server{kept: shelf{limit: maxKept}})
	return g
}

// oneAtATime runs calls one after the other, as the runner sends them: groups are not safe for
// concurrent use. It also gives errors their codes.
func oneAtATime() grpc.UnaryServerInterceptor {
	var mu sync.Mutex
	return func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
		mu.Lock()
		defer mu.Unlock()
		resp, err := handle(ctx, req)
		return resp, withCode(err)
	}
}

// errUnknown is about an id that was never given out, was freed, or was dropped.
var errUnknown = errors.New("unknown")

// errRequest is a request that makes no sense, whatever the state.
var errRequest = errors.New("bad request")

func withCode(err error) error {
	if _, ok := status.FromError(err); ok {
		return err // nil too
	}
	code := codes.FailedPrecondition // right at another time or for another member
	for _, c := range []struct {
		err  error
		code codes.Code
	}{
		{errUnknown, codes.NotFound},
		{errRequest, codes.InvalidArgument},
		{mls.ErrUnsupported, codes.Unimplemented},
		{mls.ErrLimit, codes.ResourceExhausted},
		{mls.ErrMalformed, codes.InvalidArgument},
		{mls.ErrInvalid, codes.InvalidArgument},
		{mls.ErrTreeMismatch, codes.InvalidArgument},
		{mls.ErrExpired, codes.InvalidArgument},
	} {
		if errors.Is(err, c.err) {
			code = c.code
			break
		}
	}
	return status.Error(code, err.Error())
}

func (s *server) Name(context.Context, *mlsclient.NameRequest) (*mlsclient.NameResponse, error) {
	return &mlsclient.NameResponse{Name: "sealpost"}, nil
}

func (s *server) SupportedCiphersuites(context.Context, *mlsclient.SupportedCiphersuitesRequest) (*mlsclient.SupportedCiphersuitesResponse, error) {
	resp := new(mlsclient.SupportedCiphersuitesResponse)
	for _, suite := range mls.Suites() {
		resp.Ciphersuites = append(resp.Ciphersuites, uint32(suite))
	}
	return resp, nil
}

// Free forgets a state. To forget what is gone already is no error: a state may have been
// dropped for room.
func (s *server) Free(_ context.Context, req *mlsclient.FreeRequest) (*mlsclient.FreeResponse, error) {
	s.kept.drop(req.GetStateId())
	return &mlsclient.FreeResponse{}, nil
}

// suiteOf is a suite as the runner names it.
func suiteOf(id uint32) (mls.Suite, error) {
	if id > 0xffff {
		return 0, errRequest
	}
	return mls.Suite(id), nil
}

// now is the one place where the clock is read; members of other implementations have it too.
func now() time.Time { return time.Now() }
