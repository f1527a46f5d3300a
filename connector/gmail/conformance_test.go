package gmail_test

import (
	"testing"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/connector/connectortest"
	"github.com/interactorhq/interactor/connector/gmail"
	"github.com/interactorhq/interactor/connector/gmail/gmailtest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	for _, mode := range []gmail.Mode{gmail.Push, gmail.Pull, gmail.Poll} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			google := newGoogle(t)
			cfg := google.Config()
			if mode == gmail.Pull {
				cfg = google.PullConfig()
			}
			cfg.Mode, cfg.Endpoints = mode, connector.Endpoints{}
			c := gmail.New(cfg)
			app := connector.App{Fields: map[string]string{
				gmail.FieldPushAudience: cfg.PushAudience, gmail.FieldPushServiceAccount: cfg.PushServiceAccount,
			}}
			request := func(file, stranger string) connectortest.Request {
				return connectortest.Request{
					File: file, Stranger: stranger, BodyUnsigned: true, // Google's token proves who sends, not what
					Inbound: connector.Inbound{App: app.Fields},
					Sign: func(in *connector.Inbound) {
						in.Header.Set("Authorization", "Bearer "+google.PushToken(gmailtest.Token{}))
					},
				}
			}
			var current *gmailtest.Server
			session := func(mailbox string) func(testing.TB) *connector.Session {
				return func(tb testing.TB) *connector.Session {
					tb.Helper()
					current = newGoogle(tb)
					direct := gmail.New(current.Config())
					app, _ := direct.DefaultApp()
					return connect(tb, current, direct, app, mailbox)
				}
			}
			suite := connectortest.Suite{
				Connector: c,
				Provider: &connectortest.Provider{
					Session: session(alice), Stranger: session(bob),
					Watches: func() int {
						if current.Status(alice).Watching {
							return 1
						}
						return 0
					},
				},
			}
			if mode == gmail.Push { // with Poll there is nothing to hold and nothing comes in
				suite.Provider.Subscription = connector.Subscription{Watch: "mailbox", Resource: alice}
				suite.Requests = []connectortest.Request{
					request("testdata/push.http", "testdata/push-other.http"),
					request("testdata/push-other.http", "testdata/push.http"),
					request("testdata/push-unwrapped.http", "testdata/push-other.http"),
				}
			}
			connectortest.Run(t, suite)
		})
	}
}
