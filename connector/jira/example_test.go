package jira_test

import (
	"fmt"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/connector/jira"
)

// The catalogue says what the Sources in use cannot deliver, and what to do.
func Example() {
	registry, err := connector.NewRegistry(jira.New(jira.Config{Sources: []jira.Source{jira.Dynamic, jira.Poll}}))
	if err != nil {
		fmt.Println(err)
		return
	}
	e, _ := registry.Lookup(jira.Name)
	for _, name := range []string{jira.IssueCreated, jira.WorklogCreated, jira.ProjectCreated} {
		d, _ := e.Trigger(name)
		fmt.Println(d.Label, "comes through", d.Watch)
		if d.Undeliverable != "" {
			fmt.Println("  no:", d.Undeliverable)
		}
	}
	// Output:
	// Issue Created comes through dynamic-issues
	// Worklog Created comes through poll
	// Project Created comes through dynamic-site
	//   no: Jira does not report it to the source "dynamic" or "poll": add "admin" to the connector's Sources
}
