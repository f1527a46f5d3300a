package jiratest

import (
	"net/http"
	"slices"
	"strings"
)

// parse is jql/parse: of each query its structure, or what is wrong with it.
//
// Source: https://developer.atlassian.com/cloud/jira/platform/rest/v3/api-group-jql/#api-rest-api-3-jql-parse-post
func (s *Server) parse(c call) {
	var in struct {
		Queries []string `json:"queries"`
	}
	if !c.read(&in) {
		return
	}
	validation := orElse(c.r.URL.Query().Get("validation"), "strict")
	switch {
	case !slices.Contains([]string{"strict", "warn", "none"}, validation):
		apiError(c.w, http.StatusBadRequest, "validation must be strict, warn or none")
		return
	case len(in.Queries) == 0 || slices.Contains(in.Queries, ""):
		apiError(c.w, http.StatusBadRequest, "queries must not be empty")
		return
	}
	writeJSON(c.w, http.StatusOK, map[string]any{"queries": list(in.Queries, func(jql string) any { return c.site.parsed(jql, validation) })})
}

func (t *Site) parsed(jql, validation string) map[string]any {
	shown := map[string]any{"query": jql}
	q, err := parseJQL(jql)
	if err != nil {
		shown["errors"] = []string{err.Error()}
		return shown
	}
	var wrong []string
	if validation != "none" {
		wrong = t.check(q)
	}
	if len(wrong) > 0 {
		slices.Sort(wrong)
		shown["errors"] = slices.Compact(wrong)
	}
	if len(wrong) == 0 || validation == "warn" {
		shown["structure"] = q.structure()
	}
	return shown
}

func (q *query) structure() map[string]any {
	shown := map[string]any{}
	if q.condition != nil {
		shown["where"] = q.condition.structure()
	}
	if len(q.order) > 0 {
		shown["orderBy"] = map[string]any{"fields": list(q.order, func(o order) any {
			direction := "asc"
			if o.down {
				direction = "desc"
			}
			return map[string]any{"field": map[string]any{"name": o.field, "encodedName": o.field}, "direction": direction}
		})}
	}
	return shown
}

func (c *condition) structure() map[string]any {
	if c.op != "" {
		return map[string]any{"operator": c.op, "clauses": list(c.parts, func(p *condition) any { return p.structure() })}
	}
	return map[string]any{
		"field": map[string]any{"name": c.written, "encodedName": c.written}, "operator": c.operator, "operand": c.operands(),
	}
}

func (c *condition) operands() map[string]any {
	if strings.HasSuffix(c.operator, "in") {
		return map[string]any{"values": list(c.values, func(v operand) any { return v.structure() })}
	}
	return c.values[0].structure()
}

func (v operand) structure() map[string]any {
	switch {
	case v.function:
		return map[string]any{"function": v.text, "arguments": []string{}, "encodedOperand": v.text + "()"}
	case v.empty:
		return map[string]any{"keyword": "empty"}
	}
	return map[string]any{"value": v.text}
}
