package sync

import "strings"

// binaryTypes are the built-in types whose binary form is the same in 10 to 18. A type of the user's is not: enums are
// read by their labels, but arrays and composites carry oids of the old server. The same holds for regclass and its like,
// which are read without an error and mean something else. Measured by hand, 10 → 18 and 15 → 17.
var binaryTypes = func() map[string]bool {
	m := map[string]bool{}
	for _, name := range strings.Split(`smallint,integer,bigint,real,double precision,numeric,boolean,text,character varying,character,"char",name,bytea,
date,time without time zone,time with time zone,timestamp without time zone,timestamp with time zone,interval,
uuid,json,jsonb,inet,cidr,macaddr,macaddr8,bit,bit varying,money,point,line,lseg,box,path,polygon,circle,tsvector,tsquery,oid,
int4range,int8range,numrange,tsrange,tstzrange,daterange`, ",") {
		m[strings.TrimSpace(name)] = true
	}
	return m
}()

// binarySafe tells whether a column of that type, as format_type has it, may be copied in binary.
func binarySafe(formatted string) bool {
	t := strings.TrimSuffix(formatted, "[]")
	if open := strings.IndexByte(t, '('); open >= 0 { // numeric(10,2), timestamp(3) without time zone
		rest := t[open:]
		closed := strings.IndexByte(rest, ')')
		if closed < 0 {
			return false
		}
		t = t[:open] + rest[closed+1:]
	}
	if fields, ok := strings.CutPrefix(t, "interval "); ok && !strings.Contains(fields, ".") { // interval day to second
		t = "interval"
	}
	return binaryTypes[t]
}
