package connectortest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"

	"github.com/interactorhq/interactor/connector"
)

// verify runs the rules about proof.
func (r *run) verify(p *prepared) {
	r.tb.Helper()
	in := p.fresh()
	before := clone(in)
	if err := r.entry.Verifier.Verify(context.Background(), in); err != nil {
		r.tb.Errorf("%s", failure(p.Name, ruleVerifyRight, fmt.Sprintf("the request is refused: %v", err)))
		return // the rest would pass for a wrong reason
	}
	r.rule(p.Name, ruleVerifyPure, func() []string {
		if !reflect.DeepEqual(in, before) {
			return []string{"Verify changed the request"}
		}
		return nil
	})
	bare := p.fresh()
	bare.Header = make(http.Header)
	r.refuses(p, ruleVerifyHeaders, "a request without headers", bare)
	if !p.BodyUnsigned {
		changed := p.fresh()
		changed.Body = append(changed.Body, ' ')
		r.refuses(p, ruleVerifyBody, "a longer body", changed)
		cut := p.fresh()
		cut.Body = nil
		if len(p.in.Body) > 0 {
			r.refuses(p, ruleVerifyBody, "an empty body", cut)
		}
	}
	if len(p.in.Secrets) > 0 {
		r.secrets(p)
	}
}

func (r *run) secrets(p *prepared) {
	r.tb.Helper()
	right := p.in.Secrets[0]
	wrong := otherSecret(right)
	for name, secrets := range map[string][]string{"the older of two": {wrong, right}, "the newer of two": {right, wrong}} {
		in := p.fresh()
		in.Secrets = secrets
		r.rule(p.Name, ruleVerifyRight, func() []string {
			if err := r.entry.Verifier.Verify(context.Background(), in); err != nil {
				return []string{fmt.Sprintf("signed with %s secrets, it is refused: %v", name, err)}
			}
			return nil
		})
	}
	none := p.fresh()
	none.Secrets = nil
	r.refuses(p, ruleVerifyNone, "no secret", none)
	empty := p.fresh()
	empty.Secrets = []string{""}
	r.refuses(p, ruleVerifyEmpty, "an empty secret", empty)
	if p.Sign != nil {
		if signed, ok := signedEmpty(p); ok {
			r.refuses(p, ruleVerifyEmpty, "an empty secret, signed with it", signed)
		}
	}
	only := p.fresh()
	only.Secrets = []string{wrong, otherSecret(wrong)}
	r.refuses(p, ruleVerifyWrong, "only wrong secrets", only)
}

// signedEmpty lets the empty secret sign; a Sign that cannot is left alone.
func signedEmpty(p *prepared) (in *connector.Inbound, ok bool) {
	defer func() {
		if recover() != nil {
			in, ok = nil, false
		}
	}()
	in = clone(&p.in)
	in.Secrets = []string{""}
	p.Sign(in)
	return in, true
}

// refuses checks that Verify fails with ErrUnproven.
func (r *run) refuses(p *prepared, rule rule, what string, in *connector.Inbound) {
	r.tb.Helper()
	var err error
	r.rule(p.Name, rule, func() []string {
		if err = r.entry.Verifier.Verify(context.Background(), in); err == nil {
			return []string{what + " is accepted"}
		}
		return nil
	})
	r.rule(p.Name, ruleVerifyUnproven, func() []string {
		if err != nil && !errors.Is(err, connector.ErrUnproven) {
			return []string{fmt.Sprintf("for %s the error is %q", what, err)}
		}
		return nil
	})
}

// otherSecret returns a secret of the same form: prefix, length, hex and base64
// stay what they are.
func otherSecret(s string) string {
	prefix := ""
	if i := strings.IndexByte(s, '_'); i >= 0 && i < 8 { // whsec_
		prefix, s = s[:i+1], s[i+1:]
	}
	return prefix + strings.Map(func(c rune) rune {
		switch {
		case c >= '0' && c <= '9':
			return '0' + (c-'0'+1)%10
		case c >= 'a' && c <= 'f':
			return 'a' + (c-'a'+1)%6
		case c >= 'g' && c <= 'z':
			return 'g' + (c-'g'+1)%20
		case c >= 'A' && c <= 'F':
			return 'A' + (c-'A'+1)%6
		case c >= 'G' && c <= 'Z':
			return 'G' + (c-'G'+1)%20
		}
		return c
	}, s)
}

// challengeSigned: a request for Verify is none for Challenge.
func (r *run) challengeSigned(p *prepared) []string {
	h, err := r.entry.Challenger.Challenge(p.fresh())
	if h != nil || err != nil {
		return []string{fmt.Sprintf("Challenge gave %v, %v", h, err)}
	}
	return nil
}

// handshake runs the rules about one unsigned handshake.
func (r *run) handshake(p *prepared) {
	r.tb.Helper()
	if r.entry.Challenger == nil {
		r.tb.Errorf("%s", failure(p.Name, ruleChallengeAnswer, "the connector has no Challenge"))
		return
	}
	ask := func(secrets ...string) (*connector.Handshake, error) {
		in := p.fresh()
		in.Secrets = secrets
		return r.entry.Challenger.Challenge(in)
	}
	r.rule(p.Name, ruleChallengeAnswer, func() []string {
		if h, err := ask(); h == nil || err != nil {
			return []string{fmt.Sprintf("Challenge gave %v, %v", h, err)}
		}
		return nil
	})
	r.rule(p.Name, ruleChallengeOracle, func() []string {
		a, errA := ask(defaultSecret)
		b, errB := ask(otherSecret(defaultSecret))
		if a != nil && b != nil && !reflect.DeepEqual(a.Reply, b.Reply) || (errA == nil) != (errB == nil) {
			return []string{"with another secret the answer is another one"}
		}
		return nil
	})
	r.rule(p.Name, ruleChallengeSecond, func() []string {
		first, _ := ask()
		second, _ := ask(defaultSecret)
		if first != nil && first.Secret != "" && second != nil && second.Secret == "" {
			return []string{"once a key is known, the handshake is answered without Handshake.Secret"}
		}
		return nil
	})
}
