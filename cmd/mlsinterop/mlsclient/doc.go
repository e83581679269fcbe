// Package mlsclient is the interface of the MLS working group's test runner: mls_client.proto,
// and what protoc 3.21.12 makes of it with the two plugins that go.mod pins. Nobody edits the
// generated files; go generate makes them again.
package mlsclient

//go:generate sh -c "protoc -I . --plugin=$(go tool -n protoc-gen-go) --plugin=$(go tool -n protoc-gen-go-grpc) --go_out=. --go_opt=paths=source_relative --go-grpc_out=. --go-grpc_opt=paths=source_relative mls_client.proto"
