package trigger_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/interactorhq/interactor/trigger"
)

func TestFilterCovers(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		filter, name string
		want         bool
	}{
		{"gmail.email.sent", "gmail.email.sent", true},
		{"gmail.email.sent", "gmail.email.received", false},
		{"gmail.email.sent", "gmail.email.sent.twice", false},
		{"gmail.*", "gmail.email.sent", true},
		{"gmail.email.*", "gmail.email.sent", true},
		{"gmail.email.*", "gmail.draft.made", false},
		{"gmail.*", "gmailx.email.sent", false},
		{"gmail.*", "gmail", false},
		{"gmail.*", "gmail.", false},
		{"*", "gmail.email.sent", true},
		{"*", "", false},
		{"", "", false},
		{"", "gmail.email.sent", false},
		{"gm*", "gmail.email.sent", false},
		{".*", ".email", false},
		{"*.sent", "gmail.sent", false},
		{"**", "gmail.sent", false},
		{"GMAIL.*", "gmail.sent", false},
	} {
		t.Run(fmt.Sprintf("%q on %q", row.filter, row.name), func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, row.want, trigger.Filter{Trigger: row.filter}.Covers(row.name))
		})
	}
}

func TestFilterMatchFailsClosed(t *testing.T) {
	t.Parallel()
	filter := trigger.Filter{Trigger: "gmail.email.labeled", Params: map[string]string{"label": "Invoices", "box": "in"}}
	for _, row := range []struct {
		name       string
		trigger    string
		attributes map[string][]string
		want       bool
	}{
		{"every param has its value", "gmail.email.labeled", map[string][]string{"label": {"A", "Invoices"}, "box": {"in"}, "x": {"y"}}, true},
		{"one attribute has another value", "gmail.email.labeled", map[string][]string{"label": {"Invoices"}, "box": {"out"}}, false},
		{"one attribute is absent", "gmail.email.labeled", map[string][]string{"label": {"Invoices"}}, false},
		{"one attribute has no value", "gmail.email.labeled", map[string][]string{"label": {"Invoices"}, "box": {}}, false},
		{"only a part of the value", "gmail.email.labeled", map[string][]string{"label": {"Invoices 2026"}, "box": {"in"}}, false},
		{"no attributes", "gmail.email.labeled", nil, false},
		{"another trigger", "gmail.email.sent", map[string][]string{"label": {"Invoices"}, "box": {"in"}}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, row.want, filter.Match(row.trigger, row.attributes))
		})
	}
	assert.True(t, trigger.Filter{Trigger: "gmail.*"}.Match("gmail.email.sent", nil), "without params attributes do not matter")
}

func TestFilterJSON(t *testing.T) {
	t.Parallel()
	var list []trigger.Filter
	require.NoError(t, json.Unmarshal([]byte(`["gmail.email.sent", {"trigger":"gmail.email.labeled","params":{"label":"Invoices"}}, {"trigger":"jira.*"}, "*"]`), &list))
	assert.Equal(t, []trigger.Filter{
		{Trigger: "gmail.email.sent"},
		{Trigger: "gmail.email.labeled", Params: map[string]string{"label": "Invoices"}},
		{Trigger: "jira.*"}, {Trigger: "*"},
	}, list)
	assert.Equal(t, `[{"trigger":"gmail.email.sent"},{"trigger":"gmail.email.labeled","params":{"label":"Invoices"}},{"trigger":"jira.*"},{"trigger":"*"}]`, plain(t, list))
}

func TestFilterJSONRefuses(t *testing.T) {
	t.Parallel()
	many := make([]string, 33)
	for i := range many {
		many[i] = fmt.Sprintf(`"p%d":"v"`, i)
	}
	for _, row := range []struct{ name, in, text string }{
		{"null", `null`, "neither a name nor an object"},
		{"a number", `7`, "neither a name nor an object"},
		{"a list", `["a.b"]`, "neither a name nor an object"},
		{"an empty name", `""`, "trigger is missing"},
		{"an object without trigger", `{"params":{}}`, "trigger is missing"},
		{"an unknown member", `{"trigger":"a.b","param":{}}`, `unknown member "param"`},
		{"another spelling of a member", `{"Trigger":"a.b"}`, `unknown member "Trigger"`},
		{"a name of one part", `"gmail"`, "malformed"},
		{"a star inside", `"gm*il.sent"`, "malformed"},
		{"a star glued on", `"gmail.em*"`, "malformed"},
		{"an empty part", `"gmail..sent"`, "malformed"},
		{"a space", `"gmail.email sent"`, "malformed"},
		{"a name too long", `"a.` + strings.Repeat("b", 127) + `"`, "malformed"},
		{"a wildcard too long", `"` + strings.Repeat("b", 127) + `.*"`, "malformed"},
		{"params of a wildcard", `{"trigger":"gmail.*","params":{"label":"x"}}`, "name it in full"},
		{"params that are no object", `{"trigger":"a.b","params":["x"]}`, `member "params"`},
		{"a param that is no text", `{"trigger":"a.b","params":{"x":1}}`, `member "params"`},
		{"an empty param name", `{"trigger":"a.b","params":{"":"x"}}`, "names are of letters"},
		{"a param name too long", `{"trigger":"a.b","params":{"` + strings.Repeat("p", 65) + `":"x"}}`, "names are of letters"},
		{"an empty value", `{"trigger":"a.b","params":{"x":""}}`, "is empty"},
		{"a value too long", `{"trigger":"a.b","params":{"x":"` + strings.Repeat("v", 2049) + `"}}`, "2049 bytes"},
		{"a value with a line break", `{"trigger":"a.b","params":{"x":"a\nb"}}`, "control character"},
		{"too many params", `{"trigger":"a.b","params":{` + strings.Join(many, ",") + `}}`, "33 params"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			kept := trigger.Filter{Trigger: "kept.kept"}
			err := json.Unmarshal([]byte(row.in), &kept)
			require.ErrorContains(t, err, row.text)
			assert.Less(t, len(err.Error()), 500, "a stranger's text stays short")
			assert.Equal(t, trigger.Filter{Trigger: "kept.kept"}, kept)
		})
	}
}

func TestDefinitionCheckParams(t *testing.T) {
	t.Parallel()
	d := trigger.Definition{Name: "gitea.issue.created", Params: []trigger.Param{
		{Name: "repo", Label: "Repository", Pattern: `[a-z]+/[a-z]+|all`, Required: true},
		{Name: "state", Label: "State", Enum: []string{"open", "closed"}},
	}}
	for _, row := range []struct {
		name   string
		params map[string]string
		want   []string // parts of the error; none: accepted
	}{
		{"all well", map[string]string{"repo": "a/b", "state": "open"}, nil},
		{"optional one left out", map[string]string{"repo": "all"}, nil},
		{"required one missing", nil, []string{`"repo" is missing`}},
		{"pattern matches a part only", map[string]string{"repo": "a/b/../c"}, []string{`must match`}},
		{"pattern's last alternative is anchored too", map[string]string{"repo": "xall"}, []string{`must match`}},
		{"line break after a match", map[string]string{"repo": "a/b\n"}, []string{`must match`}},
		{"everything at once", map[string]string{"repo": "", "state": "x", "label": "y"},
			[]string{`"repo" is empty`, "one of open, closed", `no param "label": it has repo, state`}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			err := d.CheckParams(row.params)
			if row.want == nil {
				require.NoError(t, err)
			}
			for _, part := range row.want {
				assert.ErrorContains(t, err, part)
			}
		})
	}
	assert.ErrorContains(t, trigger.Definition{Name: "a.b"}.CheckParams(map[string]string{"x": "y"}), "it takes none")
	assert.ErrorContains(t, trigger.Param{Name: "x", Pattern: `(`}.Check("y"), "no regular expression")
}

func TestDefinitionJSON(t *testing.T) {
	t.Parallel()
	assert.Equal(t,
		`{"name":"a.b","label":"A B","example":{"x":1},"params":[{"name":"p","label":"P","required":true}]}`,
		plain(t, trigger.Definition{Name: "a.b", Label: "A B", Payload: struct{}{}, Example: map[string]int{"x": 1},
			Params: []trigger.Param{{Name: "p", Label: "P", Required: true}}}))
}
