package gmail

import (
	"encoding/json"
	"fmt"
	"time"
)

// cursor is up to where a mailbox's history has been told. It is stored with
// the events of each page, so a crash between pages repeats none and loses none.
//
// A walk through the history begins at History and ends when Google has no more
// pages; only then does History become Head. Head is the mailbox's newest id as
// the first page said it: what happens during the walk lies after it and is
// found by the next one, whichever of it later pages show already (its keys
// are the same).
type cursor struct {
	History historyID `json:"history"`         // everything up to here has been told
	Checked int64     `json:"checked"`         // when that was so, unix seconds
	Since   int64     `json:"since,omitempty"` // when the mailbox was connected, unix seconds: nothing older is told

	Page   string    `json:"page,omitempty"`    // next page of the walk
	Head   historyID `json:"head,omitempty"`    // where the walk, or the resync, ends
	HeadAt int64     `json:"head_at,omitempty"` // when it began, unix seconds

	// A resync replaces the walk when Google has forgotten what comes after
	// History: recent messages are listed instead.
	After  int64 `json:"after,omitempty"`  // > 0: in a resync, of messages since then, unix seconds
	Listed int   `json:"listed,omitempty"` // messages listed so far

	memory
}

// memory is what history does not tell and has to be known all the same.
type memory struct {
	Drafts  []string `json:"drafts,omitzero"`          // drafts that are no news, see remembered; nil: nobody asks for drafts
	Labels  []string `json:"labels,omitempty"`         // params of EmailLabeled that name a label of this mailbox
	Missing []string `json:"missing_labels,omitempty"` // and those that name none; this has been told
}

// start is the cursor of a mailbox of which nothing has been told.
func start(id uint64, now time.Time) cursor {
	return cursor{History: historyID(id), Checked: now.Unix(), Since: now.Unix()}
}

func (c cursor) String() string {
	b, err := json.Marshal(c)
	if err != nil {
		return "" // numbers and a text encode: cannot happen, and the engine takes it for "unchanged"
	}
	return string(b)
}

func parseCursor(text string) (cursor, error) {
	var c cursor
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return cursor{}, fmt.Errorf("gmail: cursor: %w", err)
	}
	if c.History == 0 || c.Checked <= 0 {
		return cursor{}, fmt.Errorf("gmail: cursor %.100q has no history id or time", text)
	}
	return c, nil
}

// done is the cursor after a walk or a resync.
func (c cursor) done() cursor {
	return cursor{History: c.Head, Checked: c.HeadAt, Since: c.Since, memory: c.memory}
}
