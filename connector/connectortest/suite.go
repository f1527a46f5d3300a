// Package connectortest says whether a connector keeps the rules of the driver
// boundary. A connector is done when Run passes:
//
//	func TestConformance(t *testing.T) {
//		connectortest.Run(t, connectortest.Suite{
//			Connector: shop.New(shop.Config{}),
//			Requests: []connectortest.Request{
//				{File: "testdata/order-placed.http", Sign: sign},
//			},
//		})
//	}
//
// A request file holds an HTTP/1.1 request as it is on the wire: request line,
// headers, an empty line, and everything after it is the body, to the last
// byte. Beside it, order-placed.http.json holds what Decode must make of it;
// run the test with CONNECTORTEST_UPDATE=1 to write that file, and read what
// was written. Start with [Suite].
//
// It works for connectors outside this module. A failure names the rule and
// says in words what it is for.
package connectortest

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/trigger"
)

// Suite is a connector and what it is tried with. Only Connector is required;
// what cannot be tried for want of Requests or a Provider is logged.
type Suite struct {
	Connector connector.Connector

	// Requests are real ones, of every kind that the provider sends.
	Requests []Request

	// Provider tries what goes through a Session. nil: it is left out.
	Provider *Provider
}

// Request is one request of the provider, with what it is expected to be.
type Request struct {
	// Name in failures, and for Parts and Stranger. Defaults to File.
	Name string

	// File to read Method, URL, Header and Body from; empty: Inbound has them.
	File string

	// Inbound completes what File holds: Watch, Subscription, App, Values,
	// Secrets. Secrets default to one of 43 characters where the Watch has any,
	// ReceivedAt to 2026-11-23 15:04:05 UTC, Watch and Subscription to the
	// connector's only AtSubscription Watch, if it has one and none AtApp.
	Inbound connector.Inbound

	// Sign signs the request with in.Secrets[0]; nil: it is signed as it stands.
	Sign func(in *connector.Inbound)

	// BodyUnsigned: the provider's proof does not cover the body.
	BodyUnsigned bool

	// Handshake: the request is one for Challenge, and nothing else.
	Handshake bool

	// Parts are names of Requests: this one is a batch that says what they say
	// one by one, in that order.
	Parts []string

	// Stranger is the name of a Request that concerns somebody else.
	Stranger string
}

// Provider is a stand-in of the provider's API with one account connected.
type Provider struct {
	// Session returns a session at a fresh stand-in.
	Session func(tb testing.TB) *connector.Session

	// Subscription is what to hold there, as the engine would fill it in: Watch,
	// Resource, Params, Topics, Address, Secret. Zero: there is nothing to hold.
	Subscription connector.Subscription

	// Watches counts what the stand-in of the last Session holds. Required where
	// the connector is a Subscriber.
	Watches func() int

	// Misspelt are Filters of Subscription's Watch with params that cannot work
	// there. nil: none of its Triggers has params that only the provider can judge.
	Misspelt []trigger.Filter

	// Stranger returns a session of another account, to compare identities. nil:
	// left out.
	Stranger func(tb testing.TB) *connector.Session
}

// Run tries the connector and fails tb for each rule that it breaks.
func Run(tb testing.TB, s Suite) {
	tb.Helper()
	if s.Connector == nil {
		tb.Errorf("connectortest: Suite.Connector is missing")
		return
	}
	registry, err := connector.NewRegistry(s.Connector)
	if err != nil {
		tb.Errorf("%s", failure("", ruleRegistry, err.Error()))
		return // what follows would stumble over the same
	}
	r := &run{tb: tb, suite: s}
	for e := range registry.All() {
		r.entry = e
	}
	r.prepare()
	r.rule("", ruleHTTPS, r.addresses)
	r.rule("", ruleTemplate, r.templates)
	for i := range r.requests {
		r.try(&r.requests[i])
	}
	r.rule("", ruleAttributes, r.attributes)
	r.provider()
	r.report()
}

// run is one Run.
type run struct {
	tb       testing.TB
	suite    Suite
	entry    *connector.Entry
	requests []prepared
	seen     map[string][]connector.Occurrence // by trigger
}

// prepared is a Request with everything filled in.
type prepared struct {
	Request
	in      connector.Inbound
	decoded *connector.Decoded // after a first Decode without error
}

// fresh returns a deep copy of the request, signed.
func (p *prepared) fresh() *connector.Inbound {
	in := clone(&p.in)
	if p.Sign != nil {
		p.Sign(in)
	}
	return in
}

func clone(in *connector.Inbound) *connector.Inbound {
	c := *in
	c.Header = in.Header.Clone()
	if c.Header == nil {
		c.Header = make(http.Header)
	}
	c.Body = slices.Clone(in.Body)
	c.Secrets = slices.Clone(in.Secrets)
	c.App, c.Values = maps.Clone(in.App), maps.Clone(in.Values)
	return &c
}

// defaultSecret has the form of connector.SecretOurs.
const defaultSecret = "connectortest_secret_of_43_characters_-_abc"

func (r *run) prepare() {
	r.seen = make(map[string][]connector.Occurrence)
	for _, q := range r.suite.Requests {
		p := prepared{Request: q, in: q.Inbound}
		if q.File != "" {
			read, err := ReadRequest(q.File)
			if err != nil {
				r.tb.Errorf("connectortest: %v", err)
				continue
			}
			p.in.Method, p.in.URL, p.in.Header, p.in.Body = read.Method, read.URL, read.Header, read.Body
		}
		if p.Name == "" {
			p.Name = q.File
		}
		if p.Name == "" {
			p.Name = fmt.Sprintf("Requests[%d]", len(r.requests))
		}
		r.fill(&p.in)
		r.requests = append(r.requests, p)
	}
}

func (r *run) fill(in *connector.Inbound) {
	if in.ReceivedAt.IsZero() {
		in.ReceivedAt = time.Date(2026, 11, 23, 15, 4, 5, 0, time.UTC)
	}
	var own []connector.Watch
	atApp := false
	for _, w := range r.entry.Watches {
		if w.Intake == connector.AtSubscription {
			own = append(own, w)
		}
		atApp = atApp || w.Intake == connector.AtApp
	}
	if in.Watch == "" && in.Subscription == "" && len(own) == 1 && !atApp {
		in.Watch, in.Subscription = own[0].Name, "sub_01KATE9W1B6S0Z3YV8K5QH2T4G"
	}
	if in.Secrets == nil && r.keyed(in) {
		in.Secrets = []string{defaultSecret}
	}
}

// keyed reports whether a shared key verifies the request: at a Subscription's
// address that of its Watch, else those of the Watches at the App's.
func (r *run) keyed(in *connector.Inbound) bool {
	for _, w := range r.entry.Watches {
		if in.Watch == w.Name || in.Watch == "" && w.Intake == connector.AtApp {
			if w.Secret != connector.SecretNone {
				return true
			}
		}
	}
	return len(in.Secrets) > 0
}

func (r *run) find(name string) *prepared {
	for i := range r.requests {
		if r.requests[i].Name == name {
			return &r.requests[i]
		}
	}
	return nil
}

// rule runs one check; what it returns, and a panic, are failures.
func (r *run) rule(request string, rule rule, check func() []string) {
	r.tb.Helper()
	for _, f := range caught(check) {
		r.tb.Errorf("%s", failure(request, rule, f))
	}
}

func caught(check func() []string) (failures []string) {
	defer func() {
		if p := recover(); p != nil {
			failures = append(failures, fmt.Sprintf("it panicked: %v", p))
		}
	}()
	return check()
}

func failure(request string, r rule, got string) string {
	if request != "" {
		got = request + ": " + got
	}
	return fmt.Sprintf("[%s] %s\n    the rule: %s", r.name(), got, r.text())
}

// try runs the rules about one request.
func (r *run) try(p *prepared) {
	r.tb.Helper()
	if p.Handshake {
		r.handshake(p)
		return
	}
	if r.entry.Challenger != nil {
		r.rule(p.Name, ruleChallengeSigned, func() []string { return r.challengeSigned(p) })
	}
	if r.entry.Verifier != nil {
		r.verify(p)
	}
	if r.entry.Decoder != nil {
		r.decode(p)
	}
}

// report says what was not tried.
func (r *run) report() {
	var untried []string
	for _, d := range r.entry.Triggers {
		if len(r.seen[d.Name]) == 0 {
			untried = append(untried, d.Name)
		}
	}
	if len(untried) > 0 && r.entry.Decoder != nil {
		r.tb.Logf("connectortest: no request is about %v", untried)
	}
	if r.suite.Provider == nil && (r.entry.Subscriber != nil || r.entry.Identifier != nil || r.entry.Expander != nil) {
		r.tb.Logf("connectortest: Suite.Provider is nil: Identify, Subscribe, List and Expand were not tried")
	}
}
