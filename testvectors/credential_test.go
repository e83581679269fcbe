package testvectors_test

import "testing"

// Credentials: keyserver/PROTOCOL.md section 3.

type leafCredential struct {
	name     string
	account  []byte
	device   pair
	notAfter uint64
	suite    uint16
	leafKey  []byte
}

func (c leafCredential) signed() []byte {
	return join(opaque([]byte("sealpost credential 1")), opaque(c.leafKey), u16(c.suite), u64(c.notAfter), c.account)
}

func (c leafCredential) identity(signature []byte) []byte {
	return join([]byte{1}, c.account, c.device.public, u64(c.notAfter), u16(c.suite), signature)
}

func (c leafCredential) vector() object {
	signature := c.device.sign(c.signed())
	return object{{"name", c.name}, {"identity", c.identity(signature)}, {"leaf_key", c.leafKey}, {"leaf_suite", c.suite},
		{"account", c.account}, {"device", c.device.public}, {"device_seed", c.device.seed}, {"not_after", c.notAfter},
		{"cipher_suite", c.suite}, {"signed", c.signed()}, {"signature", signature}}
}

func badCredential(name string, identity, leafKey []byte, suite uint16) object {
	return object{{"name", name}, {"identity", identity}, {"leaf_key", leafKey}, {"leaf_suite", suite}, {"error", "credential"}}
}

func credentialVectors(*testing.T) []object {
	phone, laptop := keyPair("phone"), keyPair("laptop")
	good := leafCredential{"a leaf of suite 1", hash(newChain(keyPair("recovery"), phone).bytes[0]), phone, 1900000000, 1, keyPair("leaf").public}
	long := good
	long.name, long.suite, long.leafKey = "a leaf of suite 5, with a long key", 5, random("long leaf key", 133)
	otherSuite := good
	otherSuite.suite = 2
	signature := phone.sign(good.signed())
	identity := good.identity(signature)
	refused := func(name string, identity []byte) object { return badCredential(name, identity, good.leafKey, 1) }
	changed := func(change func(*leafCredential)) []byte {
		c := good
		change(&c)
		return c.identity(signature)
	}
	return []object{
		good.vector(),
		long.vector(),
		badCredential("another leaf", identity, keyPair("another leaf").public, 1),
		badCredential("a leaf of another suite", identity, good.leafKey, 2),
		refused("another account", changed(func(c *leafCredential) { c.account = random("another account", 32) })),
		refused("another device", changed(func(c *leafCredential) { c.device = laptop })),
		refused("a later end", changed(func(c *leafCredential) { c.notAfter++ })),
		badCredential("another suite, in credential and leaf", changed(func(c *leafCredential) { c.suite = 2 }), good.leafKey, 2),
		badCredential("signed for the suite of the leaf, and naming another", good.identity(phone.sign(otherSuite.signed())), good.leafKey, 2),
		refused("signed by another device", good.identity(laptop.sign(good.signed()))),
		refused("signed without its label", good.identity(phone.sign(good.signed()[22:]))),
		refused("a bit of the signature changed", flipped(identity, -1)),
		refused("version 2", append([]byte{2}, identity[1:]...)),
		refused("cut short", identity[:len(identity)-1]),
		refused("a byte more", append(identity[:len(identity):len(identity)], 0)),
		refused("no bytes", nil),
	}
}
