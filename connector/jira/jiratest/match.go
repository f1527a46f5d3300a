package jiratest

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// fieldName folds the names that JQL has for a field. Empty: none that the
// stand-in knows.
func fieldName(name string) string {
	switch name {
	case "key", "issuekey", "issue", "id":
		return "key"
	case "type", "issuetype":
		return "issuetype"
	case "updated", "updateddate":
		return "updated"
	case "created", "createddate":
		return "created"
	case "project", "status", "statuscategory", "priority", "assignee", "reporter", "creator", "labels", "summary", "sprint", "resolution", "fixversion":
		return name
	case "cf[10011]":
		return "customfield_10011" // the epic label
	}
	return ""
}

// webhookClause reports what is wrong with a clause of a dynamic webhook's
// filter, which may use less of JQL than a search.
func webhookClause(c *condition) string {
	allowed := []string{"key", "project", "issuetype", "status", "priority", "assignee", "reporter", "customfield_10011"}
	switch {
	case !slices.Contains(allowed, fieldName(c.field)):
		return "The clause " + c.written + " is unsupported"
	case !slices.Contains([]string{"=", "!=", "in", "not in"}, c.operator):
		return "The operator " + c.operator + " is unsupported"
	case slices.ContainsFunc(c.values, func(v operand) bool { return v.function }):
		return "Functions are unsupported"
	}
	return ""
}

// webhookJQL parses the filter of a dynamic webhook.
func (t *Site) webhookJQL(jql string) (*query, []string) {
	q, err := parseJQL(jql)
	if err != nil {
		return nil, []string{err.Error()}
	}
	var wrong []string
	if len(q.order) > 0 {
		wrong = append(wrong, "The clause order by is unsupported")
	}
	if q.condition == nil {
		wrong = append(wrong, "The JQL filter must not be empty")
	}
	for _, c := range q.condition.clauses() {
		if w := webhookClause(c); w != "" {
			wrong = append(wrong, w)
		}
	}
	if len(wrong) == 0 {
		wrong = t.check(q)
	}
	return q, wrong
}

// check reports what a query names that is not there.
func (t *Site) check(q *query) (wrong []string) {
	for _, c := range q.condition.clauses() {
		name := fieldName(c.field)
		if name == "" {
			wrong = append(wrong, fmt.Sprintf("Field '%s' does not exist or you do not have permission to view it.", c.written))
			continue
		}
		for _, v := range c.values {
			if w := t.checkValue(name, c, v); w != "" {
				wrong = append(wrong, w)
			}
		}
	}
	for _, o := range q.order {
		if !slices.Contains([]string{"key", "updated", "created"}, fieldName(o.field)) {
			wrong = append(wrong, fmt.Sprintf("Not able to sort using field '%s'.", o.field))
		}
	}
	return wrong
}

func (t *Site) checkValue(name string, c *condition, v operand) string {
	known := true
	switch {
	case v.function:
		if v.text != "currentuser" {
			return fmt.Sprintf("Unable to find JQL function '%s()'.", v.text)
		}
	case v.empty:
	case name == "updated" || name == "created":
		if _, ok := jqlDate(v.text, time.Now(), time.UTC); !ok {
			return fmt.Sprintf("Date value '%s' for field '%s' is invalid. Valid formats include: 'yyyy/MM/dd HH:mm', 'yyyy-MM-dd HH:mm', 'yyyy/MM/dd', 'yyyy-MM-dd', or a period format e.g. '-5d', '4w 2d'.", v.text, c.written)
		}
	case name == "project":
		known = t.project(v.text) != nil || slices.ContainsFunc(t.projects, func(p *project) bool { return strings.EqualFold(p.name, v.text) })
	case name == "issuetype":
		_, known = choose(issueTypes(), v.text)
	case name == "status":
		_, known = choose(statuses(), v.text)
	case name == "priority":
		_, known = choose(priorities(), v.text)
	case name == "assignee" || name == "reporter" || name == "creator":
		known = t.s.byAccount(v.text) != nil
	}
	if !known {
		return fmt.Sprintf("The value '%s' does not exist for the field '%s'.", v.text, c.written)
	}
	return ""
}

func (s *Server) byAccount(id string) *person {
	for _, p := range s.people {
		if p.id == id {
			return p
		}
	}
	return nil
}

// matches compares an issue as it is now. Whose query it is decides what
// currentUser() is and in which time zone dates are read.
func (q *query) matches(i *issue, who *person, now time.Time) bool {
	return q.condition == nil || q.condition.matches(i, who, now)
}

func (c *condition) matches(i *issue, who *person, now time.Time) bool {
	part := func(p *condition) bool { return p.matches(i, who, now) }
	switch c.op {
	case "and":
		return !slices.ContainsFunc(c.parts, func(p *condition) bool { return !part(p) })
	case "or":
		return slices.ContainsFunc(c.parts, part)
	case "not":
		return !part(c.parts[0])
	}
	name := fieldName(c.field)
	if name == "updated" || name == "created" {
		at := i.updated
		if name == "created" {
			at = i.created
		}
		to, ok := jqlDate(c.values[0].text, now, who.zone)
		return ok && compareDates(at, c.operator, to)
	}
	have := i.values(name)
	is := slices.ContainsFunc(c.values, func(v operand) bool {
		switch {
		case v.empty:
			return len(have) == 0
		case v.function:
			return slices.Contains(have, who.id)
		case c.operator == "~" || c.operator == "!~":
			return slices.ContainsFunc(have, func(h string) bool { return strings.Contains(strings.ToLower(h), strings.ToLower(v.text)) })
		}
		return slices.ContainsFunc(have, func(h string) bool { return strings.EqualFold(h, v.text) })
	})
	switch c.operator {
	case "=", "in", "is", "~":
		return is
	case "is not":
		return !is
	case "!=", "not in", "!~":
		// As in Jira, what has no value is not found by "is other than".
		return !is && len(have) > 0
	}
	return false
}

// values are what = may compare a field with: ids and names.
func (i *issue) values(field string) []string {
	people := func(p *person) []string {
		if p == nil {
			return nil
		}
		return []string{p.id}
	}
	switch field {
	case "key":
		return []string{i.key, strconv.Itoa(i.id)}
	case "project":
		return []string{i.project.key, i.project.name, strconv.Itoa(i.project.id)}
	case "issuetype":
		return []string{i.kind.name, i.kind.id}
	case "status":
		return []string{i.state.name, i.state.id}
	case "statuscategory":
		return []string{i.state.category}
	case "priority":
		return []string{i.urgency.name, i.urgency.id}
	case "assignee":
		return people(i.assignee)
	case "reporter", "creator":
		return people(i.reporter)
	case "labels":
		return i.labels
	case "summary":
		return []string{i.summary}
	case "resolution":
		if !i.resolved.IsZero() {
			return []string{"Done", "10000"}
		}
	case "sprint":
		if i.sprint != nil {
			return []string{strconv.Itoa(i.sprint.id), i.sprint.name}
		}
	case "fixversion":
		var all []string
		for _, v := range i.fixVersions {
			all = append(all, strconv.Itoa(v.id), v.name)
		}
		return all
	default:
		if v, ok := i.custom[field].(string); ok {
			return []string{v}
		}
	}
	return nil
}

func compareDates(at time.Time, operator string, to time.Time) bool {
	d := at.Compare(to)
	switch operator {
	case ">":
		return d > 0
	case ">=":
		return d >= 0
	case "<":
		return d < 0
	case "<=":
		return d <= 0
	case "=":
		return d == 0
	case "!=":
		return d != 0
	}
	return false
}

var jqlPeriod = regexp.MustCompile(`^([+-]?)(\d{1,9})([wdhm])$`)

// jqlDate reads a date of JQL: minutes are its precision, and the zone is the
// person's. A number is milliseconds since 1970, which Jira takes though its
// documentation does not say so (reported).
func jqlDate(text string, now time.Time, zone *time.Location) (time.Time, bool) {
	if ms, err := strconv.ParseInt(text, 10, 64); err == nil {
		return time.UnixMilli(ms), true
	}
	for _, layout := range []string{"2006/01/02 15:04", "2006-01-02 15:04", "2006/01/02", "2006-01-02"} {
		if at, err := time.ParseInLocation(layout, text, zone); err == nil {
			return at, true
		}
	}
	m := jqlPeriod.FindStringSubmatch(text)
	if m == nil {
		return time.Time{}, false
	}
	n, err := strconv.Atoi(m[1] + m[2])
	if err != nil {
		return time.Time{}, false
	}
	unit := map[string]time.Duration{"w": 7 * 24 * time.Hour, "d": 24 * time.Hour, "h": time.Hour, "m": time.Minute}[m[3]]
	if limit := int(100 * 365 * 24 * time.Hour / unit); n > limit || n < -limit {
		return time.Time{}, false
	}
	return now.Add(time.Duration(n) * unit), true
}
