package interactor_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/interactorhq/interactor"
	"github.com/interactorhq/interactor/connector/gmail"
	"github.com/interactorhq/interactor/connector/gmail/gmailtest"
	"github.com/interactorhq/interactor/forward/forwardtest"
	"github.com/interactorhq/interactor/interactortest"
	"github.com/interactorhq/interactor/internal/proxytest"
)

// Everything that is called goes through the operator's proxy: the provider, when
// an account is connected, watched and read, and the receiver.
func TestEverythingGoesThroughTheProxy(t *testing.T) {
	t.Parallel()
	google, inbox, p := newGoogle(t), forwardtest.NewReceiver(t), proxytest.New(t, false)
	p.Open = true
	in := interactortest.Start(t, interactor.Config{
		Connectors: []interactor.Connector{gmail.New(google.Config())},
		Forwarding: inbox.Settings(gmail.EmailSent),
		Proxy:      p.Address(nil),
	})
	if err := google.SetPush(in.URL + "/webhooks/gmail"); err != nil {
		t.Fatal(err)
	}
	connectGmail(t, in, google, interactor.ConnectRequest{Account: "user-42"}, "alice@example.com")
	google.Send(gmailtest.Mail{From: "alice@example.com", To: []string{"bob@example.com"}, Subject: "Lunch?"})
	inbox.Next()
	for what, address := range map[string]string{"the provider": google.URL, "the receiver": inbox.URL} {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(p.Seen(), "CONNECT "+u.Host) {
			t.Errorf("%s was called without the proxy, which saw %v", what, p.Seen())
		}
	}
	_, err := interactor.New(interactor.Config{Proxy: &url.URL{Scheme: "ftp", Host: "proxy.example.com"}})
	if err == nil || !strings.Contains(err.Error(), "Proxy is no http or https address") {
		t.Errorf("a proxy of another kind: %v", err)
	}
}
