package mls_test

import (
	"fmt"

	"github.com/sealpost/sealpost/mls"
)

// What a group of a post-quantum suite says stays secret from whoever records it for a quantum
// computer. Nothing else about its use differs.
func ExampleSuite() {
	suite := mls.SuiteMLKEM768X25519AES256Ed25519
	alice := begin(client(suite, "alice"), mls.Application{})
	bob := add(alice, client(suite, "bob"), mls.Application{})
	fmt.Println(bob.Suite())
	fmt.Println(read(bob, must(alice.Encrypt([]byte("see you in 2050"), nil))))
	// Output:
	// MLS_128_MLKEM768X25519_AES256GCM_SHA384_Ed25519
	// see you in 2050
}
