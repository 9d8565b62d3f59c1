package plan

import "slices"

// Back names what leads back: Object is then the name of the publication and the slot on the target, and of the
// subscription on the source.
func (r RunID) Back() RunID { return r + "_back" }

// Proof names the slot by which is proven, on the side that is left, that nobody writes behind the fence.
func (r RunID) Proof() RunID { return r + "_proof" }

// WayBack judges from the facts alone whether the source can follow the target after the release, so that pgleap
// rollback can go back without a loss. It returns a warning for everything that stands in the way; none means that
// the plan has a way back, unless Options.NoWayBack leaves it out.
func WayBack(source, target Facts, o Options) []Finding {
	in := input{source: source, target: target, options: o}
	in.selection, in.selectionError = Select(source, o)
	found := reverseObstacles(in)
	for i := range found {
		found[i].Check, found[i].Accepted = "reverse-ready", slices.Contains(o.Accept, "reverse-ready")
	}
	return found
}

// HasWayBack tells whether the plan was made with a way back.
func (p Plan) HasWayBack() bool { return len(p.Back) > 0 }
