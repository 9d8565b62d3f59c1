package schema

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// dumped has what pg_dump 10 to 18 write between the entries, and bodies that look like it.
const dumped = `--
-- PostgreSQL database dump
--

\restrict abc

-- Dumped by pg_dump version 18.6

SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);

--
-- Name: public; Type: SCHEMA; Schema: -; Owner: postgres
--

-- *not* creating schema, since initdb creates it


ALTER SCHEMA public OWNER TO postgres;

--
-- Name: public; Type: SCHEMA; Schema: -; Owner: postgres
--

CREATE SCHEMA public;


--
-- Name: EXTENSION plpgsql; Type: COMMENT; Schema: -; Owner: -
--

COMMENT ON EXTENSION plpgsql IS 'PL/pgSQL procedural language';


--
-- Name: f(text); Type: FUNCTION; Schema: public; Owner: a; Type: b
--

CREATE FUNCTION public.f(text) RETURNS text
    LANGUAGE sql
    AS $_$ select '
--
-- Name: ghost; Type: TABLE; Schema: public; Owner: postgres
--
SET default_tablespace = '''';
\unrestrict abc
' $_$;


SET default_tablespace = fast;

SET default_table_access_method = heap;

--
-- Name: t; Type: TABLE; Schema: public; Owner: postgres; Tablespace: fast
--

CREATE TABLE public.t (
    a text DEFAULT '
--
-- Name: ghost; Type: TABLE; Schema: public; Owner: postgres
--
'::text
);


SET default_tablespace = '';

SET default_table_access_method = columnar;

SET default_with_oids = true;

--
-- Name: u; Type: TABLE; Schema: public; Owner: postgres
--

CREATE TABLE public.u ();


--
-- Name: g(); Type: FUNCTION; Schema: public; Owner: postgres
--

CREATE FUNCTION public.g() RETURNS integer
    BEGIN ATOMIC
 SELECT 1;
END;


--
-- Name: t t_pkey; Type: CONSTRAINT; Schema: public; Owner: postgres
--

ALTER TABLE ONLY public.t
    ADD CONSTRAINT t_pkey PRIMARY KEY (a);


--
-- Name: v; Type: VIEW; Schema: public; Owner: postgres
--

CREATE VIEW public.v AS
 SELECT 1;


--
-- PostgreSQL database dump complete
--

\unrestrict abc

`

func TestParse(t *testing.T) {
	got, err := Parse(strings.NewReader(dumped))
	if err != nil {
		t.Fatal(err)
	}
	want := []Entry{
		{"public", "SCHEMA", "", "postgres", "ALTER SCHEMA public OWNER TO postgres;", Pre, false},
		{"public", "SCHEMA", "", "postgres", "CREATE SCHEMA IF NOT EXISTS public;", Pre, false},
		{"f(text)", "FUNCTION", "public", "a; Type: b", "CREATE FUNCTION public.f(text) RETURNS text\n    LANGUAGE sql\n    AS $_$ select '\n--\n" +
			"-- Name: ghost; Type: TABLE; Schema: public; Owner: postgres\n--\nSET default_tablespace = '''';\n\\unrestrict abc\n' $_$;", Pre, false},
		{"t", "TABLE", "public", "postgres", "SET default_tablespace = fast;\nCREATE TABLE public.t (\n    a text DEFAULT '\n--\n" +
			"-- Name: ghost; Type: TABLE; Schema: public; Owner: postgres\n--\n'::text\n);\nSET default_tablespace = '';", Pre, false},
		{"u", "TABLE", "public", "postgres", "SET default_table_access_method = columnar;\nSET default_with_oids = true;\nCREATE TABLE public.u ();\n" +
			"SET default_table_access_method = heap;\nSET default_with_oids = false;", Pre, false},
		{"g()", "FUNCTION", "public", "postgres", "CREATE FUNCTION public.g() RETURNS integer\n    BEGIN ATOMIC\n SELECT 1;\nEND;", Pre, false},
		{"t t_pkey", "CONSTRAINT", "public", "postgres", "ALTER TABLE ONLY public.t\n    ADD CONSTRAINT t_pkey PRIMARY KEY (a);", Post, false},
		{"v", "VIEW", "public", "postgres", "CREATE VIEW public.v AS\n SELECT 1;", Post, false},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"SET client_encoding = 'LATIN1';\n":                                              "not in UTF8",
		"SET standard_conforming_strings = off;\n":                                       "standard_conforming_strings is off",
		"--\n-- Name: a; Type: TABLE; Schema: b; Owner: c\n--\n\n\\connect x\nselect 1;": `\connect`,
	} {
		if _, err := Parse(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
	if entries, err := Parse(strings.NewReader("")); err != nil || len(entries) != 0 {
		t.Errorf("nothing: %v %v", entries, err)
	}
}
