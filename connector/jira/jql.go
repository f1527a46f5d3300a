package jira

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/trigger"
)

// everyIssue is a filter that every issue passes. A dynamic webhook must have
// one, and IS NOT EMPTY, the usual one, is not allowed there.
const everyIssue = "project != null"

// maxProjects bounds how many projects are named in a filter.
const maxProjects = 50

// issueFilter is the JQL that a webhook or a search narrows to: the jql param
// that its watch is about, else the projects if every trigger names one.
func issueFilter(sub *connector.Subscription, wanted []trigger.Filter) string {
	if jql := strings.TrimSpace(sub.Params[paramJQL]); jql != "" {
		return jql
	}
	var projects []string
	for _, f := range wanted {
		p := f.Params[paramProject]
		if p == "" {
			return everyIssue
		}
		if !slices.Contains(projects, p) {
			projects = append(projects, p)
		}
	}
	if len(projects) == 0 || len(projects) > maxProjects {
		return everyIssue
	}
	slices.Sort(projects)
	for i := range projects {
		projects[i] = quoteJQL(projects[i])
	}
	return "project IN (" + strings.Join(projects, ", ") + ")"
}

func quoteJQL(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// jqlWord is one token: a string, an operator or bracket, or a word.
var jqlWord = regexp.MustCompile(`\A(?:\s+|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|!=|!~|[<>]=?|[=~!(),]|[^\s"'=!<>~(),]+)`)

// checkFilter reports what Jira would not take as the filter of a dynamic
// webhook, so that a person reads it in these words and before anything changes.
//
// Source: https://developer.atlassian.com/cloud/jira/platform/rest/v3/api-group-webhooks/
func checkFilter(jql string) error {
	words, err := splitJQL(jql)
	if err != nil {
		return err
	}
	depth := 0
	for len(words) > 0 {
		for len(words) > 0 && (words[0] == "(" || strings.EqualFold(words[0], "NOT") || words[0] == "!") {
			if words[0] == "(" {
				depth++
			}
			words = words[1:]
		}
		if words, err = clause(words); err != nil {
			return err
		}
		for len(words) > 0 && words[0] == ")" {
			depth--
			words = words[1:]
		}
		switch {
		case depth < 0:
			return errors.New("it closes a bracket that is not open")
		case len(words) == 0 && depth > 0:
			return errors.New("it leaves a bracket open")
		case len(words) == 0:
			return nil
		case strings.EqualFold(words[0], "ORDER"):
			return errors.New("it has ORDER BY: webhooks have no order, leave it out")
		case !strings.EqualFold(words[0], "AND") && !strings.EqualFold(words[0], "OR"):
			return fmt.Errorf("%.60q is where AND or OR is expected", words[0])
		}
		words = words[1:]
		if len(words) == 0 {
			return errors.New("it ends after AND or OR")
		}
	}
	return errors.New("it is empty")
}

func splitJQL(jql string) (words []string, err error) {
	for jql != "" {
		w := jqlWord.FindString(jql)
		if w == "" {
			return nil, errors.New("a quoted text does not end")
		}
		if strings.TrimSpace(w) != "" {
			words = append(words, w)
		}
		jql = jql[len(w):]
	}
	return words, nil
}

// webhookField are the fields that the filter of a dynamic webhook may use.
var webhookField = regexp.MustCompile(`(?i)\A(?:issuekey|key|issue|project|issuetype|type|status|priority|assignee|reporter|issue\.property\[.+\]\..+|cf\[[0-9]+\])\z`)

// clause reads one comparison and returns what follows.
func clause(words []string) ([]string, error) {
	if len(words) == 0 {
		return nil, errors.New("a comparison is missing")
	}
	field := strings.Trim(words[0], `"'`)
	if !webhookField.MatchString(field) {
		return nil, fmt.Errorf("%.60q is no field that webhooks can filter by: there are project, issuetype, status, priority, assignee, reporter, issueKey, issue.property[…] and the epic label as cf[…]", field)
	}
	words = words[1:]
	if len(words) > 1 && strings.EqualFold(words[0], "NOT") && strings.EqualFold(words[1], "IN") {
		words = words[1:]
	}
	switch {
	case len(words) == 0:
		return nil, fmt.Errorf("after %s the comparison is missing", field)
	case words[0] == "=" || words[0] == "!=":
		if len(words) < 2 || strings.ContainsAny(words[1][:1], "=!<>~(),") {
			return nil, fmt.Errorf("after %s %s the value is missing", field, words[0])
		}
		if len(words) > 2 && words[2] == "(" {
			return nil, fmt.Errorf("%.60q is a function: webhooks know none, write the value itself", words[1])
		}
		return words[2:], nil
	case strings.EqualFold(words[0], "IN"):
		return valueList(field, words[1:])
	}
	return nil, fmt.Errorf("%.60q is no operator that webhooks know: use =, !=, IN or NOT IN", words[0])
}

// valueList reads (a, b) and returns what follows.
func valueList(field string, words []string) ([]string, error) {
	wrong := fmt.Errorf("after %s IN a list is expected: (a, b)", field)
	if len(words) == 0 || words[0] != "(" {
		return nil, wrong
	}
	for words = words[1:]; ; words = words[2:] {
		if len(words) < 2 || strings.ContainsAny(words[0][:1], "=!<>~(),") {
			return nil, wrong
		}
		switch words[1] {
		case ")":
			return words[2:], nil
		case ",":
		case "(":
			return nil, fmt.Errorf("%.60q is a function: webhooks know none, write the values themselves", words[0])
		default:
			return nil, wrong
		}
	}
}
