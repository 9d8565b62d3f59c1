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

func (r *run) back() cutover.Back { return noBack{} }

func (r *run) await(context.Context) error { return nil }

func (r *run) quiet(context.Context) error { return nil }
