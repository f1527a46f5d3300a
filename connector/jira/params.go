package jira

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/trigger"
)

var _ connector.ParamChecker = (*Connector)(nil)

// CheckParams reports whether the site takes the jql of a Filter and knows the
// project that it names, so that a misspelt one does not stay silent. What the
// source cannot do with a query is said before Jira is asked.
func (c *Connector) CheckParams(ctx context.Context, s *connector.Session, sub *connector.Subscription, f trigger.Filter) error {
	jql, project := f.Params[paramJQL], f.Params[paramProject]
	if strings.TrimSpace(jql) == "" {
		jql = ""
	}
	if jql == "" && project == "" {
		return nil
	}
	host, svc, err := c.at(s, sub)
	if err != nil || !isOf(f, host) {
		return err
	}
	if jql != "" {
		if err := usableJQL(sub.Watch, jql); err != nil {
			return &connector.ParamError{Param: paramJQL, Value: jql, Problem: err.Error()}
		}
		if err := askJQL(ctx, svc, jql); err != nil {
			return err
		}
	}
	if project != "" {
		return askProject(ctx, svc, project)
	}
	return nil
}

// usableJQL reports what the source of a watch cannot do with a query.
func usableJQL(watch, jql string) error {
	if watch == watchDynamicIssues {
		return checkFilter(jql)
	}
	return unordered(jql)
}

// unordered reports what cannot be part of a search.
func unordered(jql string) error {
	words, err := splitJQL(jql)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(words, func(w string) bool { return strings.EqualFold(w, "ORDER") })
	if i >= 0 && i+1 < len(words) && strings.EqualFold(words[i+1], "BY") {
		return errors.New("it has ORDER BY: leave it out, searches have an order of their own")
	}
	return nil
}

// askJQL lets Jira parse a query. What is wrong and yet well formed names
// something that is not there; it may come to be.
func askJQL(ctx context.Context, svc *service, jql string) error {
	wrong := &connector.ParamError{Param: paramJQL, Value: jql}
	said, err := parseJQL(ctx, svc, jql, "strict")
	switch {
	case err != nil:
		return aboutParam(wrong, err)
	case len(said) == 0:
		return nil
	}
	wrong.Problem = excerpt(strings.Join(said, " "))
	malformed, err := parseJQL(ctx, svc, jql, "none")
	if err != nil {
		return aboutParam(wrong, err)
	}
	wrong.Later = len(malformed) == 0
	return wrong
}

// parseJQL returns what Jira finds wrong with a query: all of it with the
// validation "strict", what is no JQL at all with "none".
//
// Source: https://developer.atlassian.com/cloud/jira/platform/rest/v3/api-group-jql/#api-rest-api-3-jql-parse-post
func parseJQL(ctx context.Context, svc *service, jql, validation string) ([]string, error) {
	const path = "rest/api/3/jql/parse"
	var out struct {
		Queries []struct {
			Errors []string `json:"errors"`
		} `json:"queries"`
	}
	err := svc.call(ctx, http.MethodPost, path+"?validation="+validation, map[string]any{"queries": []string{jql}}, &out)
	if err != nil {
		return nil, err
	}
	if len(out.Queries) != 1 {
		return nil, fmt.Errorf("jira: POST %s: the answer is about %d queries, and one was asked about", path, len(out.Queries))
	}
	return out.Queries[0].Errors, nil
}

// askProject looks a project up, written as issues name it: by a former key or
// in other letters Jira may find it, too, but no issue would match.
func askProject(ctx context.Context, svc *service, project string) error {
	wrong := &connector.ParamError{Param: paramProject, Value: project, Later: true}
	var found struct {
		ID  ident `json:"id"`
		Key text  `json:"key"`
	}
	err := svc.call(ctx, http.MethodGet, "rest/api/3/project/"+url.PathEscape(project), nil, &found)
	if errors.Is(err, connector.ErrGone) {
		if wrong.Problem = messages(svc.last.body); wrong.Problem != "" {
			return wrong
		}
	}
	if err != nil {
		return aboutParam(wrong, err)
	}
	if project != string(found.Key) && project != string(found.ID) {
		wrong.Problem = fmt.Sprintf("its key is %q: write it so, or its id %q", excerpt(string(found.Key)), excerpt(string(found.ID)))
		return wrong
	}
	return nil
}

// messages are those of an answer by Jira itself; the gateway in front of it
// answers in another form.
func messages(body []byte) string {
	var out struct {
		Messages array[text] `json:"errorMessages"`
	}
	if json.Unmarshal(body, &out) != nil {
		return ""
	}
	var said []string
	for _, m := range out.Messages {
		said = append(said, string(m))
	}
	return excerpt(strings.Join(said, " "))
}

// aboutParam says what a failed question about a param means: not that the grant
// lacks a scope, or that the watch is gone. A scope that is really missing is told
// by the gateway, with 401.
func aboutParam(wrong *connector.ParamError, err error) error {
	status, ok := errors.AsType[*connector.StatusError](err)
	if !ok {
		return err
	}
	switch status.Status {
	case http.StatusBadRequest, http.StatusForbidden:
		wrong.Problem = messages([]byte(status.Body))
		if wrong.Problem == "" {
			wrong.Problem = excerpt(status.Error())
		}
		wrong.Later = status.Status == http.StatusForbidden
		return wrong
	case http.StatusNotFound, http.StatusGone:
		return fmt.Errorf("jira: the site could not be asked about the param %q: %s", wrong.Param, excerpt(status.Error()))
	}
	return err
}
