// Package storetest judges stores: one suite for what each room keeps, whose
// rules are told in words. It is imported by the tests of package sqlite and by
// those of whoever writes a store of their own.
//
// Begin with [Forward], the suite of what receives and delivers.
package storetest
