package mls

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// ruleVector is a message that breaks one rule of VALIDATION.md, and one that does not, with
// what those have who receive them.
type ruleVector struct {
	Name    string `json:"name"`
	Suite   Suite  `json:"cipher_suite"`
	Error   string `json:"error"` // the rule's id, or a name of ruleErrors
	Section string `json:"section,omitempty"`
	Layer   string `json:"layer"`
	Action  string `json:"action"`
	Now     int64  `json:"now,omitempty"` // Unix seconds; without it lifetimes are not looked at

	Member    *ruleMember `json:"member,omitempty"`
	GroupInfo hexBytes    `json:"group_info,omitempty"` // what who follows the group begins with
	Messages  []hexBytes  `json:"messages,omitempty"`   // before, accepted by both

	Bad  hexBytes `json:"bad"`
	Good hexBytes `json:"good,omitempty"`
}

// ruleErrors are the errors of messages that break no rule with an id.
var ruleErrors = map[string]error{
	"malformed": ErrMalformed, "expired": ErrExpired, "not-for-us": ErrNotForUs, "tree-mismatch": ErrTreeMismatch,
	"wrong-group": ErrWrongGroup, "past-epoch": ErrPastEpoch, "future-epoch": ErrFutureEpoch, "decrypt": ErrDecrypt,
	"consumed": ErrConsumed, "too-far-ahead": ErrTooFarAhead, "own-message": ErrOwnMessage,
	"cannot-follow": ErrCannotFollow, "unknown-psk": ErrUnknownPSK,
}

// What is done with the two messages.
const (
	actVerify       = "verify_key_package"
	actJoin         = "join"
	actFollow       = "follow"
	actJoinExternal = "join_external"
	actCheck        = "check_group_info"
	actProcess      = "process"
)

// layer is the part of an implementation that has to refuse the bad message: by what the rule
// is about, and where that does not say it, by what is done with the message.
func (v *ruleVector) layer() string {
	subject, _, _ := strings.Cut(v.Error, ".")
	switch {
	case v.Error == "malformed":
		return "parse"
	case v.Action == actCheck, v.Action == actProcess && v.Member == nil:
		return "public-group"
	case v.Error == "group.reinit":
		return "framing"
	}
	switch subject {
	case "keypackage", "leaf", "framing", "tree", "groupinfo", "external":
		return subject
	case "credential":
		return "leaf"
	case "proposal":
		return "external"
	}
	switch v.Action {
	case actVerify:
		return "keypackage"
	case actJoin:
		return "join"
	case actFollow:
		if subject == "group" {
			return "tree"
		}
		return "groupinfo"
	case actJoinExternal:
		return "external"
	}
	switch subject {
	case "path", "commit", "group", "cannot-follow", "unknown-psk":
		return "commit"
	}
	if ruleErrors[v.Error] != nil {
		return "framing"
	}
	return "proposals"
}

// checkRule has everybody whom a case of the rule's file names refuse the bad message, for its
// reason and without a trace, and then accept the good one.
func checkRule(rule string) func(*suite, *ruleVector) error {
	return func(s *suite, v *ruleVector) error {
		if v.Error != rule {
			return fmt.Errorf("error is %q in the file of %q", v.Error, rule)
		}
		if layer := v.layer(); v.Layer != layer {
			return fmt.Errorf("layer is %q, want %q", v.Layer, layer)
		}
		receivers, err := v.receivers(s)
		if err != nil {
			return err
		}
		if len(receivers) == 0 || len(v.Bad) == 0 || len(v.Good)+len(v.Messages) == 0 && (v.Member == nil || v.Member.Parent == nil) {
			return errors.New("nobody receives anything")
		}
		for _, r := range receivers {
			if err := v.checkReceiver(r); err != nil {
				return fmt.Errorf("%s: %w", r.who, err)
			}
		}
		return nil
	}
}

func (v *ruleVector) checkReceiver(r ruleReceiver) error {
	before, err := r.state()
	if err != nil {
		return err
	}
	if err := v.checkRefusal(r.take(v.Bad)); err != nil {
		return err
	}
	after, err := r.state()
	if err != nil {
		return err
	}
	if err := expect("state after the bad message", after, before); err != nil {
		return err
	}
	if len(v.Good) == 0 {
		return nil // what came before was good
	}
	if err := r.take(v.Good); err != nil {
		return fmt.Errorf("the good message: %w", err)
	}
	return nil
}

// checkRefusal compares the error of the bad message with the case's. A commit that breaks a
// rule counts for no member.
func (v *ruleVector) checkRefusal(err error) error {
	if err == nil {
		return errors.New("the bad message is accepted")
	}
	if class := ruleErrors[v.Error]; class != nil {
		if !errors.Is(err, class) || errors.Is(err, ErrInvalid) {
			return fmt.Errorf("refused as %w, want %s", err, v.Error)
		}
		return nil
	}
	if e, ok := errors.AsType[*Error](err); !ok || e.Rule != v.Error {
		return fmt.Errorf("refused as %w, want rule %s", err, v.Error)
	}
	if m, other := parse(v.Bad, readMessage); other == nil && m.isCommit() && !errors.Is(err, ErrInvalidCommit) {
		return fmt.Errorf("refused as %w, which says nothing about other members", err)
	}
	return nil
}

func (m *message) isCommit() bool {
	return m.public != nil && m.public.content.contentType == contentCommit ||
		m.private != nil && m.private.contentType == contentCommit
}

func (v *ruleVector) now() time.Time {
	if v.Now == 0 {
		return time.Time{}
	}
	return time.Unix(v.Now, 0)
}
