package jira

import (
	"encoding/json"
	"fmt"
	"time"
)

// cursor is up to where everything of a watch is told. Times are milliseconds
// since 1970; Jira's clock and ours are kept apart, so that it does not matter
// how far one is off.
type cursor struct {
	Start   int64 `json:"start"`             // Jira's time before which nothing is told: the account was not connected
	From    int64 `json:"from"`              // Jira's time when the last whole search began
	At      int64 `json:"at"`                // ours
	Off     int64 `json:"off,omitempty"`     // how far Jira's clock is ahead of ours
	Checked int64 `json:"checked,omitempty"` // ours, when Off was measured; 0: never

	Watched bool  `json:"watched,omitempty"` // a webhook was held during a search
	Lost    int64 `json:"lost,omitempty"`    // ours: until when a webhook was held that Jira has lost; 0: none

	// Of a search that goes on with its next page.
	Page      string `json:"page,omitempty"`
	JQL       string `json:"jql,omitempty"`
	WalkFrom  int64  `json:"walk_from,omitempty"` // Jira's time when it began
	WalkAt    int64  `json:"walk_at,omitempty"`   // ours
	GapIsTold bool   `json:"gap_told,omitempty"`
}

// start is a cursor that begins at a time of ours, before Jira was asked for its own.
func start(at time.Time) cursor {
	ms := at.UnixMilli()
	return cursor{Start: ms, From: ms, At: ms}
}

func parseCursor(s string) (cursor, error) {
	var c cursor
	if err := json.Unmarshal([]byte(s), &c); err != nil {
		return cursor{}, fmt.Errorf("cursor: %w", err)
	}
	if c.Start <= 0 || c.From <= 0 || c.At <= 0 {
		return cursor{}, fmt.Errorf("cursor %.100q has no times", s)
	}
	return c, nil
}

// String is the stored form.
func (c cursor) String() string {
	b, err := json.Marshal(c)
	if err != nil {
		panic(err) // numbers and texts
	}
	return string(b)
}

// measured takes in how far Jira's clock is ahead. What was written down before
// in terms of our clock is Jira's time from now on.
func (c cursor) measured(off time.Duration, now time.Time) cursor {
	if c.Checked == 0 {
		c.Start += off.Milliseconds()
		c.From += off.Milliseconds()
	}
	c.Off, c.Checked = off.Milliseconds(), now.UnixMilli()
	return c
}

// done ends a search.
func (c cursor) done() cursor {
	c.From, c.At = c.WalkFrom, c.WalkAt
	c.GapIsTold = false
	return c.restart()
}

// restart begins a search anew, in which gaps are not told again.
func (c cursor) restart() cursor {
	c.Page, c.JQL, c.WalkFrom, c.WalkAt = "", "", 0, 0
	return c
}

// stamp and unstamp are the form of times in Held.Values.
func stamp(at time.Time) string { return at.UTC().Format(time.RFC3339Nano) }

func unstamp(s string) time.Time {
	at, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}
	}
	return at
}
