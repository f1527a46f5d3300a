package e2e_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/interactorhq/interactor/api"
	"github.com/interactorhq/interactor/webhook"
)

// TestSigningSecrets: deliveries under one and under two active signing secrets are accepted by the
// official Go library and by npm's under each of them, and under no other.
func TestSigningSecrets(t *testing.T) {
	t.Parallel()
	inbox, first, second := newReceiver(t), webhook.NewSecret(), webhook.NewSecret()
	settings := object{"url": inbox.url, "triggers": []string{"webhook.received"}}
	s := newService(t, object{"webhook": object{}}, settings)
	for _, c := range []struct {
		name    string
		secrets []string
		no      string // does not verify it
	}{
		{"one", []string{first}, second},
		{"two, the new one in front", []string{second, first}, ""},
		{"the new one alone", []string{second}, first},
	} {
		settings["secrets"] = c.secrets
		s.start(t)
		var sent api.Event
		s.want(t, http.StatusAccepted, http.MethodPost, "/events/test", object{"trigger": "webhook.received"}, &sent)
		d := inbox.wait(t, "the example", func(d delivery) bool { return d.id == sent.ID })
		if got := len(strings.Fields(d.header.Get("webhook-signature"))); got != len(c.secrets) {
			t.Errorf("%s: the delivery has %d signatures, want %d", c.name, got, len(c.secrets))
		}
		for _, secret := range c.secrets {
			verify(t, secret, d)
		}
		if c.no != "" && accepts(t, c.no, d) {
			t.Errorf("%s: a secret that is not active verifies it", c.name)
		}
		s.stop(t)
	}
}
