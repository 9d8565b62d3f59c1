package pipeline

import (
	"context"

	"pgleap/cutover"
)

// noTraffic is what moves the clients where nothing was told: they find the new server by themselves.
type noTraffic struct{}

func (noTraffic) Hold(context.Context) error    { return nil }
func (noTraffic) Move(context.Context) error    { return nil }
func (noTraffic) Release(context.Context) error { return nil }
func (noTraffic) Back(context.Context) error    { return nil }

// noBack is a switch without a way back.
type noBack struct{}

func (noBack) Prepare(context.Context) error { return nil }
func (noBack) Advance(context.Context) error { return nil }
func (noBack) Undo(context.Context) error    { return nil }

func (r *run) traffic() cutover.Traffic { return noTraffic{} }

// pooledPIDs are the server processes, on the side that is left, of the poolers' connections; nil: there is no pooler.
func (r *run) pooledPIDs(context.Context) []int32 { return nil }

func (r *run) prove(context.Context) []cutover.Refusal { return nil }
