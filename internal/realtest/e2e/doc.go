// Package e2e holds the end-to-end suite: the whole product against parts that nobody here wrote. A
// real Gitea as provider, the official Go library and npm's of Standard Webhooks as receivers and
// sender, Chromium as a person's browser. The service under test is examples/server, built and run
// as a process of its own, except where a test has to hold the Go API in its hands.
//
//	CI=true go test ./...
//
// SCREENSHOTS=DIR keeps the pictures of the browser, SEED=n repeats the choices of TestKill.
//
// What proves what:
//
//	TestGitea/events      consent with PKCE by way of the Continue page; the webhook exists in Gitea;
//	                      an issue, a comment, a push and a release arrive once, with the custom
//	                      header, verified by both libraries; forgeries reach nobody; event log,
//	                      replay, disconnect
//	TestGitea/account     an API call works after the access token has expired; a trigger that is
//	                      removed stops arriving, and with the last one the webhook goes
//	TestGitea/refusals    what a consent can do wrong: denied, replayed, forged, foreign redirectUrl
//	TestGitea/browser     own credentials lead straight to Gitea, the default ones to the Continue
//	                      page; a person's way through it in Chromium
//	TestKill              kill -9, 20 times under load: nothing acknowledged is lost
//	TestSigningSecrets    deliveries under one and under two signing secrets, verified by both libraries
//	TestKeys              wrong, missing and rotated API keys, those of a config file included
//
// The packages below are the real parts: giteaserver, browser, nodeverify; child runs processes, and
// realpart says what happens where a part is missing.
package e2e
