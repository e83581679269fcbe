// Package sealpost is the root of the module and holds no code: it carries the tests of
// what the packages are to each other (who may import whom, house style).
//
// Apps link [github.com/sealpost/sealpost/clientlib]; operators run
// [github.com/sealpost/sealpost/cmd/sealpost].
package sealpost
