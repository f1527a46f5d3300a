package connector

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/interactorhq/interactor/trigger"
)

func (k *checker) watches() {
	seen := make(map[string]bool)
	for i, w := range k.Watches {
		at := fmt.Sprintf("Watches[%d]", i)
		if w.Name != "" {
			at = fmt.Sprintf("Watches %q:", w.Name)
		}
		if !valueName.MatchString(strings.ReplaceAll(w.Name, "-", "_")) {
			k.add(at, "Name must be small letters, digits, - and _: it is stored")
		}
		if seen[w.Name] {
			k.add(at, "is declared twice: remove one")
		}
		seen[w.Name] = true
		k.intake(at, w)
		k.secret(at, w)
		k.resource(at, w)
		if !slices.ContainsFunc(k.Triggers, func(d trigger.Definition) bool { return d.Watch == w.Name }) {
			k.add(at, "is unused: name it in the Watch of a Trigger, or remove it")
		}
	}
}

// intake checks that what a Watch's intake needs is implemented.
func (k *checker) intake(at string, w Watch) {
	switch w.Intake {
	case FromPoll:
		if w.Poll <= 0 {
			k.add(at, "Poll is missing: FromPoll needs a pace, such as 5 * time.Minute")
		}
	case AtApp, AtSubscription:
		if k.Verifier == nil {
			k.add(at, "needs Verify: embed a family of connector/signature, or nobody can tell who sent a request")
		}
		if k.Decoder == nil {
			k.add(at, "needs Decode: it says what a request holds")
		}
	case FromStream, FromAppStream:
		if k.Streamer == nil {
			k.add(at, "needs Stream: its Intake is a stream")
		}
		if k.Decoder == nil {
			k.add(at, "needs Decode: it says what a message holds")
		}
	default:
		k.add(at, "Intake is unknown: use FromPoll, AtApp, AtSubscription, FromStream or FromAppStream")
	}
	switch {
	case w.Poll < 0:
		k.add(at, "Poll is negative: put 0 or a pace there")
	case (w.Poll > 0 || w.Intake == FromPoll) && k.Expander == nil:
		k.add(at, "needs Expand: it is what polls")
	}
	switch w.Per {
	case PerConnection:
	case PerIdentity:
		if k.Identifier == nil {
			k.add(at, "needs Identify: Per is PerIdentity, and without it no two Connections share an Identity")
		}
	default:
		k.add(at, "Per is unknown: use PerConnection or PerIdentity")
	}
}

// secret checks that the key which verifies a Watch's requests can exist.
func (k *checker) secret(at string, w Watch) {
	app, connection := w.Secret.Field()
	switch {
	case w.Secret == SecretNone:
		if w.Intake == AtSubscription {
			k.add(at, "Secret is missing: an address of its own needs a key, use SecretOurs, SecretTheirs, AppSecret or ConnectionSecret")
		}
	case w.Secret == SecretOurs:
		k.onlyAtSubscription(at, w)
		if k.Subscriber == nil {
			k.add(at, "needs Subscribe: it tells the provider the secret that SecretOurs makes")
		}
	case w.Secret == SecretTheirs:
		k.onlyAtSubscription(at, w)
		if k.Subscriber == nil && k.Challenger == nil {
			k.add(at, "needs Subscribe or Challenge: SecretTheirs comes from Held.Secret or Handshake.Secret")
		}
	case app != "":
		f := slices.IndexFunc(k.AppFields, func(f Field) bool { return f.Name == app })
		switch {
		case app == fieldClientSecret || app == FieldWebhookSecret:
		case f < 0:
			k.add(at, "Secret is the App's field %q, which AppFields does not declare: add it there", app)
		case !k.AppFields[f].Secret:
			k.add(at, "Secret is the App's field %q, which is not Secret: set Secret there", app)
		}
	case connection != "":
		k.onlyAtSubscription(at, w)
		f := slices.IndexFunc(k.Fields, func(f Field) bool { return f.Name == connection })
		switch {
		case f < 0:
			k.add(at, "Secret is the Connection's Field %q, which Fields does not declare: add it there", connection)
		case !k.Fields[f].Secret || k.Fields[f].Optional:
			k.add(at, "Secret is the Connection's Field %q, which must be Secret and not Optional", connection)
		}
	default:
		k.add(at, "Secret is %q: use SecretNone, SecretOurs, SecretTheirs, AppSecret(…) or ConnectionSecret(…)", string(w.Secret))
	}
}

func (k *checker) onlyAtSubscription(at string, w Watch) {
	if w.Intake != AtSubscription {
		k.add(at, "Secret belongs to one Connection, so Intake must be AtSubscription: the address chooses the key")
	}
}

// resource checks that each Trigger of a Watch can fill its Resource in.
func (k *checker) resource(at string, w Watch) {
	if err := w.Resource.Check(); err != nil {
		k.add(at, "Resource is malformed: %w", err)
		return
	}
	if slices.Contains(w.Resource.Names(), "identity") && k.Identifier == nil {
		k.add(at, "Resource has {identity}: it needs Identify")
	}
	for _, d := range k.Triggers {
		if d.Watch != w.Name {
			continue
		}
		if slices.Contains(w.Resource.Names(), "topic") && len(d.Topics) == 0 {
			k.add(at, "Resource has {topic}: trigger %s must list Topics", d.Name)
		}
		for _, name := range w.Resource.Names() {
			if name != "identity" && name != "topic" && !hasParam(d, name, false) {
				k.add(at, "Resource has {%s}: trigger %s must have a Param of that name", name, d.Name)
			}
		}
		if !fillable(w.Resource, d) {
			k.add(at, "Resource cannot be filled in for trigger %s without optional Params: set Required, or add an alternative after |", d.Name)
		}
	}
}

// fillable reports whether one alternative needs no optional Param.
func fillable(t Template, d trigger.Definition) bool {
	for alternative := range strings.SplitSeq(string(t), "|") {
		missing := slices.ContainsFunc(Template(alternative).Names(), func(name string) bool {
			return name != "identity" && name != "topic" && hasParam(d, name, false) && !hasParam(d, name, true)
		})
		if !missing {
			return true
		}
	}
	return false
}

func hasParam(d trigger.Definition, name string, required bool) bool {
	return slices.ContainsFunc(d.Params, func(p trigger.Param) bool {
		return p.Name == name && (p.Required || !required)
	})
}

func (k *checker) triggers() {
	k.forms = make(map[string]form, len(k.Triggers))
	for i, d := range k.Triggers {
		at := fmt.Sprintf("Triggers[%d]", i)
		if d.Name != "" {
			at = fmt.Sprintf("Triggers %q:", d.Name)
		}
		if !trigger.ValidName(d.Name) || strings.ToLower(d.Name) != d.Name || !strings.HasPrefix(d.Name, k.Name+".") {
			k.add(at, "Name must be %q and parts of small letters, digits, _ and -: %s.thing.happened", k.Name+".", k.Name)
		}
		if _, twice := k.forms[d.Name]; twice {
			k.add(at, "is declared twice: remove one")
		}
		if d.Label == "" {
			k.add(at, "Label is missing: put there what the person reads, such as \"An Email is Sent\"")
		}
		if _, ok := k.Watch(d.Watch); !ok && (d.Watch != "" || d.Undeliverable == "") {
			k.add(at, "Watch is %q, which Watches does not declare: name one of them", d.Watch)
		}
		for _, s := range d.Scopes {
			if s == "" || strings.ContainsAny(s, " \t\n") {
				k.add(at, "Scopes has %q: put one scope into each", s)
			}
		}
		k.params(at, d)
		f, err := k.derived.form(d)
		if err != nil {
			k.add(at, "%w", err)
		}
		k.forms[d.Name] = f
	}
}

func (k *checker) params(at string, d trigger.Definition) {
	seen := make(map[string]bool)
	for _, p := range d.Params {
		switch {
		case !valueName.MatchString(p.Name) || given(p.Name):
			k.add(at, "Params has the name %q: use small letters, digits and _, and none that the engine fills in", p.Name)
		case seen[p.Name]:
			k.add(at, "Params has %q twice: remove one", p.Name)
		}
		seen[p.Name] = true
		if p.Label == "" {
			k.add(at, "Params %q has no Label: put there what the person reads", p.Name)
		}
		if _, err := regexp.Compile(`\A(?:` + p.Pattern + `)\z`); err != nil {
			k.add(at, "Params %q: Pattern is no regular expression (RE2): %w", p.Name, err)
		}
	}
}
