// Package subscription keeps the watches at providers equal to what is wanted:
// created when an account or a trigger is added, renewed at half their life,
// repaired when the provider lost them, removed when nobody wants them.
//
// There is nothing to call in normal use; [Reconciler], as
// Interactor.Subscriptions, shows what is held and lets an operator insist.
//
// # How
//
// Wanted is the trigger list of an Environment, filled in for each of its
// connected accounts. A difference between wanted and stored becomes a stored
// intent first: the Subscription's id, address and key are durable before the
// provider is called, so that a request which arrives during the call verifies,
// and a crash leaves something to adopt. Every intent has a due time; Run works
// them off, one at a time for each Connection.
package subscription
