package mls

import "testing"

// Extensions of a KeyPackage that nobody knows and that its capabilities do not name, as other
// implementations send them, are ignored by whoever adds it and by everybody else.
func TestUnknownKeyPackageExtensionsAreIgnored(t *testing.T) {
	groups := trio(t)
	kp := forge(t, DefaultSuite, func(kp *KeyPackage, _ *leafNode) {
		kp.extensions = []Extension{{Type: 0x1a1a, Data: []byte("grease")}, {Type: 0xf777}}
	})
	if err := kp.Verify(testNow, nil); err != nil {
		t.Error(err)
	}
	c := must(groups[0].Commit(CommitParams{Add: []*KeyPackage{kp}, Now: testNow}))(t)
	deliver(t, c.Message(), groups[1:])
	if err := groups[0].Merge(c); err != nil {
		t.Fatal(err)
	}
	agree(t, groups)
}
