package jiratest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/interactorhq/interactor/connector/jira/jiratest"
)

// A site, a webhook of its administrator, and what it is told.
func ExampleServer() {
	atlassian := jiratest.NewServer()
	defer atlassian.Close()
	acme := atlassian.AddSite("acme")
	acme.AddProject("ENG", "Engineering")

	told := make(chan string, 1)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var body struct {
			Event string `json:"webhookEvent"`
			Issue struct {
				Key string `json:"key"`
			} `json:"issue"`
		}
		_ = json.NewDecoder(r.Body).Decode(&body)
		told <- body.Event + " " + body.Issue.Key
	}))
	defer receiver.Close()
	if _, err := acme.AddAdminWebhook("admin@example.com", jiratest.AdminWebhook{
		Name: "ours", URL: receiver.URL, Events: []string{"jira:issue_created"}, Secret: "s3cret",
	}); err != nil {
		fmt.Println(err)
		return
	}

	key := acme.CreateIssue("alice@example.com", jiratest.Issue{Project: "ENG", Summary: "It is broken"})
	fmt.Println(key, "at", acme.URL())
	fmt.Println(<-told)
	// Output:
	// ENG-1 at https://acme.atlassian.net
	// jira:issue_created ENG-1
}
