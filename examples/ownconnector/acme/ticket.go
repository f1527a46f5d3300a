package acme

import (
	"time"

	"github.com/interactorhq/interactor/trigger"
)

// Names of the connector and of its triggers. They are stored: never change them.
const (
	Name         = "acme"
	TicketOpened = "acme.ticket.opened"
	TicketSolved = "acme.ticket.solved"
)

// Ticket is the payload of both triggers.
type Ticket struct {
	ID       string    `json:"id" jsonschema:"Acme's id of the ticket"`
	Subject  string    `json:"subject"`
	Priority string    `json:"priority" jsonschema:"low, normal or high"`
	OpenedAt time.Time `json:"opened_at"`
}

// Triggers implements what trigger.Decode asks: an event of another trigger is
// refused instead of giving an empty Ticket.
func (Ticket) Triggers() []string { return []string{TicketOpened, TicketSolved} }

// definitions is the catalogue. Topics are Acme's own names of what happens.
func definitions() []trigger.Definition {
	example := Ticket{
		ID: "T-1", Subject: "The printer is on fire", Priority: "high",
		OpenedAt: time.Date(2026, time.November, 23, 15, 4, 5, 0, time.UTC),
	}
	priority := trigger.Param{Name: "priority", Label: "Priority", Enum: []string{"low", "normal", "high"}}
	return []trigger.Definition{
		{
			Name: TicketOpened, Label: "A Ticket is Opened", Payload: Ticket{}, Example: example,
			Params: []trigger.Param{priority}, Watch: "hook", Topics: []string{"ticket.opened"},
		},
		{
			Name: TicketSolved, Label: "A Ticket is Solved", Payload: Ticket{}, Example: example,
			Params: []trigger.Param{priority}, Watch: "hook", Topics: []string{"ticket.solved"},
		},
	}
}
