package gmailevent

// LabeledEmail is the payload of EmailLabeled: a label was put on a message, by
// a person, a program, or a filter when it arrived.
type LabeledEmail struct {
	Label Label `json:"label"`
	Email Email `json:"email"`
}

// Triggers are the names of the triggers that LabeledEmail is the payload of.
func (LabeledEmail) Triggers() []string { return []string{EmailLabeled} }

// Label is a label of a mailbox.
type Label struct {
	ID   string `json:"id"`             // "Label_12"; labels of Gmail itself have their name: "STARRED"
	Name string `json:"name,omitempty"` // as people see it, "Work/Invoices" where it is nested; empty where it has been removed since
}

// Draft is the payload of DraftCreated.
type Draft struct {
	// ID stays while the draft is edited; the id of the message in it does not.
	// Empty where Gmail did not list it among the drafts.
	ID    string `json:"id,omitempty"`
	Email Email  `json:"email"`
}

// Triggers are the names of the triggers that Draft is the payload of.
func (Draft) Triggers() []string { return []string{DraftCreated} }

// DeletedEmail is the payload of EmailDeleted. The message is gone for good, so
// this is all that can be known of it.
type DeletedEmail struct {
	ID       string   `json:"id"`
	ThreadID string   `json:"thread_id,omitempty"`
	Labels   []string `json:"labels,omitempty"` // ids of the labels it had
}

// Triggers are the names of the triggers that DeletedEmail is the payload of.
func (DeletedEmail) Triggers() []string { return []string{EmailDeleted} }
