#!/usr/bin/env python3
"""Checks the manual pages against the headers, and against what the library does.
Prints TAP.

    check.py SOURCE-DIR --cc COMPILER…          names, prototypes, members, links, examples
    check.py SOURCE-DIR --points PROGRAM [--without http] [--without tls]
                                                what each page says about cancellation

A page is read as lines of mdoc: the macros are few and always at the beginning of a
line, so that no parser for roff is needed.
"""
import argparse
import pathlib
import re
import shutil
import subprocess
import sys

HEADERS = ('kin.h', 'kin_io.h', 'kin_os.h', 'kin_ext.h', 'kin_http.h', 'kin_tls.h')
NOT_FOR_USERS = {'KIN_PRINTF', 'KIN_STRING'}        # help to declare other things
# They make values, constants or declarations: there is no call that could be cancelled.
VALUES = {'KIN_US', 'KIN_MS', 'KIN_S', 'KIN_CODE', 'KIN_CODES', 'KIN_SEMAPHORE',
          'KIN_SEMAPHORE_BOUNDED', 'KIN_QUEUE', 'KIN_EHTTP', 'KIN_EHTTP_STATUS'}
# Structures whose members the page describes, but for those that are kin's.
STRUCTURES = {
    'kin_run_options': 'kin_run', 'kin_group_options': 'kin_group_open',
    'kin_spawn_options': 'kin_spawn', 'kin_task': 'kin_spawn', 'kin_call': 'kin_gather',
    'kin_scope_options': 'kin_scope_open', 'kin_scope_state': 'kin_scope_look',
    'kin_group_counts': 'kin_scope_look', 'kin_reason': 'kin_cancelled', 'kin_case': 'kin_select',
    'kin_error': 'kin_error_walk', 'kin_match': 'kin_error_walk',
    'kin_class_texts': 'kin_code_name', 'kin_facts': 'kin_dump', 'kin_faults': 'kin_faults',
    'kin_wait_ops': 'kin_wait_prepare', 'kin_thread_options': 'kin_thread_run',
    'kin_process_options': 'kin_process_start', 'kin_resolve_options': 'kin_resolve',
    'kin_serve_options': 'kin_serve',
    'kin_stream_options': 'kin_stream_open', 'kin_transport': 'kin_stream_open',
    'kin_serve_counts': 'kin_serve', 'kin_socket_options': 'kin_listen_at',
    'kin_entry': 'kin_directory_open', 'kin_file_event': 'kin_file_watch_open',
    'kin_http_request': 'kin_http',
    'kin_http_response': 'kin_http', 'kin_tls_options': 'kin_tls_client_open',
    'kin_tls_certificate': 'kin_tls_client_open', 'kin_tls_connect_options': 'kin_tls_connect',
    'kin_tls_facts': 'kin_tls_connect'}
KINS = {'kin_task': {'state', 'id', 'next', 'waiters'}}
IN_THE_TEXT = {'kin_error', 'kin_match', 'kin_wait_ops'}    # the others have a list of members
# Cancelled, and yet they wait, for tasks or processes to end, or to be woken.
WAIT_ALWAYS = {'kin_group_close', 'kin_group_leave', 'KIN_GROUP', 'kin_wait_park',
               'kin_process_end', 'kin_process_communicate'}
# A closed port, refused at once; a peer that has gone.
FAIL_UNCANCELLED = {'kin_http', 'kin_http_with', 'kin_http_get', 'kin_tls_connect',
                    'kin_tls_connect_with', 'kin_tls_accept', 'kin_tls_accept_at'}

results = []


def check(name, good, why=''):
    results.append(bool(good))
    print(f"{'ok' if good else 'not ok'} {len(results)} - {name}", flush=True)
    if not good:
        print('# ' + str(why).replace('\n', '\n# '), flush=True)


def skip(name, why):
    results.append(True)
    print(f'ok {len(results)} - {name} # SKIP {why}', flush=True)


# --------------------------------------------------------------------- headers

def squeeze(text):
    """White space where C needs it, and nowhere else."""
    return re.sub(r' ?([*(),;]) ?', r'\1', ' '.join(text.split()))


class Headers:
    def __init__(self, source):
        self.functions, self.macros, self.structures, self.codes = {}, {}, {}, {}
        self.constants = set()
        for header in HEADERS:
            text = (source / 'include' / header).read_text()
            self.read(re.sub(r'/\*.*?\*/', ' ', text, flags=re.S).replace('\\\n', ' '))

    def read(self, text):
        for name, number in re.findall(r'X\((KIN_E\w+),\s*(\w+),', text):
            self.codes[name] = number.lower()
        self.constants |= set(re.findall(r'^#define (\w+) ', text, flags=re.M))
        for name, arguments in re.findall(r'^#define (\w+)\((.*?)\)', text, flags=re.M):
            if not name.endswith('_') and name not in NOT_FOR_USERS:
                self.macros[name] = arguments
        text = re.sub(r'^#.*$', '', text, flags=re.M)
        for head, name, arguments in re.findall(
                r'KIN_API ([^;]*?)(\w+)\(((?:[^()]|\([^()]*\))*)\)[^;]*;', text):
            self.functions[name] = squeeze(f'{head}{name}({arguments})')
        for name, body in re.findall(r'struct (kin_\w+) \{(.*?)\n\}', text, flags=re.S):
            self.structures[name] = members(body)

    def names(self):
        return set(self.functions) | set(self.macros)


def members(body):
    found = set()
    for declaration in body.split(';'):
        pointer = re.search(r'\(\*(\w+)\)', declaration)
        if pointer:
            found.add(pointer[1])
        elif declaration.strip():
            for part in declaration.split(','):
                found.add(re.sub(r'(\[.*|\s:.*)', '', part.strip()).split()[-1].lstrip('*'))
    return found


# ----------------------------------------------------------------------- pages

def words(line):
    """The arguments of a macro; those in quotes may have spaces."""
    return [quoted or plain for quoted, plain in re.findall(r'"([^"]*)"|(\S+)', line)]


class Page:
    def __init__(self, path):
        self.name, self.section = path.stem, path.suffix[1:]
        self.parts, current = {}, []
        for line in path.read_text().split('\n'):
            if line.startswith('.Sh '):
                current = self.parts[line[4:]] = []
            else:
                current.append(line)
        self.lines = [line for part in self.parts.values() for line in part]

    def part(self, title):
        return self.parts.get(title, [])

    def names(self):
        return [words(line)[1] for line in self.part('NAME') if line.startswith('.Nm ')]

    def summary(self):
        return next(line[4:] for line in self.part('NAME') if line.startswith('.Nd '))

    def prototypes(self):
        """Of each .Fn in the synopsis: the text in C, and its arguments."""
        found, result = {}, ''
        for line in self.part('SYNOPSIS'):
            if line.startswith('.Ft '):
                result = ' '.join(words(line)[1:])
            elif line.startswith('.Fn '):
                name, *arguments = words(line)[1:]
                found[name] = squeeze(f'{result} {name}({", ".join(arguments)})'), arguments
                result = ''
        return found

    def cancellation(self):
        """Function: 'always' or 'never'. A name that stands there twice is both."""
        found, kind = {}, None
        for line in self.part('CANCELLATION'):
            if line == '.El':
                break
            if line.startswith('.It Em '):
                kind = words(line)[2]
            elif line.startswith('.Fn '):
                name = words(line)[1]
                found[name] = found[name] + kind if name in found else kind
        return found

    def fields(self, anywhere):
        """The members that a list describes, or that are mentioned at all."""
        pattern = r'\.(It |Pq )?Fa\b' if anywhere else r'\.It Fa\b'
        return {word.lstrip('.') for line in self.lines if re.match(pattern, line)
                for word in words(line)}

    def links(self):
        return re.findall(r'^\.(?:It )?Xr (\S+) (\d)', '\n'.join(self.lines), flags=re.M)

    def examples(self):
        text = '\n'.join(self.part('EXAMPLES') + self.part('DESCRIPTION'))
        blocks = re.findall(r'^\.Bd -literal -offset indent\n(.*?)\n\.Ed', text, flags=re.M | re.S)
        return [block.replace(r'\e', '\\') for block in blocks]


def read_pages(source):
    paths = sorted((source / 'man').glob('kin*.3')) + [source / 'man' / 'kin.7']
    return [Page(path) for path in paths]


# ------------------------------------------------------- pages against headers

def check_names(headers, pages):
    at = {}
    for page in pages:
        for name in page.names():
            at.setdefault(name, []).append(page.name)
    missing = headers.names() - set(at)
    check('every_function_and_macro_has_a_page', not missing, sorted(missing))
    twice = {name: where for name, where in at.items() if len(where) > 1}
    check('no_function_has_two_pages', not twice, twice)
    unknown = set(at) - headers.names() - set(headers.structures) - {'kin'}
    check('no_page_for_what_is_not_there', not unknown, sorted(unknown))
    misnamed = [page.name for page in pages if page.name not in page.names()]
    check('each_page_is_named_after_one_of_its_functions', not misnamed, misnamed)


def differs(headers, name, text, arguments):
    """Why the synopsis is not what the header says, or None."""
    if name in headers.functions and '.option = value' not in text:
        wanted = headers.functions[name]
        return None if text == wanted else f'{text}\n  header: {wanted}'
    wanted = headers.macros[name]
    if '...' in wanted:                 # the page says what the dots stand for
        return None if arguments and arguments[-1] == '...' else f'{name}: {arguments} has no dots'
    count = len([argument for argument in wanted.split(',') if argument.strip()])
    return None if count == len(arguments) else f'{name}({wanted}): {arguments}'


def check_synopses(headers, pages):
    wrong = []
    for page in pages:
        shown = page.prototypes()
        for name in page.names():
            if name not in headers.names():
                continue
            if name not in shown:
                wrong.append(f'{page.name}: {name} is not in its synopsis')
                continue
            reason = differs(headers, name, *shown[name])
            if reason:
                wrong.append(f'{page.name}: {reason}')
    check('synopses_agree_with_the_headers', not wrong, '\n'.join(wrong))


def check_members(headers, pages):
    by_name = {page.name: page for page in pages}
    wrong = []
    for structure, page in STRUCTURES.items():
        missing = (headers.structures[structure] - KINS.get(structure, set()) -
                   by_name[page].fields(structure in IN_THE_TEXT))
        wrong += [f'{page}: {structure}.{member}' for member in sorted(missing)]
    check('members_of_structures_are_described', not wrong, '\n'.join(wrong))


def check_cancellation(headers, pages):
    wrong = []
    for page in pages:
        functions = {name for name in page.names() if name in headers.names()} - VALUES
        said = page.cancellation()
        if functions != set(said) or set(said.values()) - {'always', 'never'}:
            wrong.append(f'{page.name}: {sorted(functions)}\n  says {said}')
    check('every_page_says_always_or_never_of_each_function', not wrong, '\n'.join(wrong))


def check_overview(headers, pages):
    overview = next(page for page in pages if page.section == '7')
    text = '\n'.join(overview.lines)
    wrong = [page.name for page in pages if page.section == '3' and
             f'.It Xr {page.name} 3\n{page.summary()}\n' not in text]
    check('the_overview_lists_every_page', not wrong, wrong)
    wrong = [name for name, number in headers.codes.items()
             if f'.It Dv {name} Ta {number} Ta ' not in text]
    check('the_overview_lists_every_code', headers.codes and not wrong, wrong)


def check_sections(headers, pages):
    wrong = []
    for page in pages:
        wanted = ['NAME', 'SYNOPSIS', 'DESCRIPTION', 'SEE ALSO']
        if any(not headers.functions.get(name, 'void ').startswith('void ')
               for name in page.names()):
            wanted.append('RETURN VALUES')
        wrong += [f'{page.name}: {title}' for title in wanted if title not in page.parts]
    check('pages_have_the_sections_that_one_looks_for', not wrong, wrong)


def check_codes(headers, pages):
    known = set(headers.codes) | headers.names() | headers.constants
    wrong = [f'{page.name}: {code}' for page in pages for line in page.lines
             for code in re.findall(r'\bKIN_E[A-Z_]+\b', line) if code not in known]
    check('pages_name_no_code_that_is_not_there', not wrong, wrong)


def check_installed(source, pages):
    listed = (source / 'man' / 'meson.build').read_text()
    wrong = [page.name for page in pages
             if f"'{page.name}'" not in listed and f"'{page.name}.{page.section}'" not in listed]
    check('every_page_is_installed', not wrong, wrong)


def check_links(source, pages):
    wrong = [f'{page.name}: {name}({section})' for page in pages for name, section in page.links()
             if name.lower().startswith('kin') and not exists(source, pages, name, section)]
    check('links_lead_somewhere', not wrong, wrong)


def exists(source, pages, name, section):
    return ((source / 'man' / f'{name}.{section}').exists() or
            section == '3' and any(name in page.names() for page in pages))


def check_lint(source):
    if not shutil.which('mandoc'):
        skip('mandoc_has_nothing_to_say', 'no mandoc')
        return
    paths = sorted((source / 'man').glob('*.[1-8]'))
    done = subprocess.run(['mandoc', '-Tlint', '-Wwarning', *paths], capture_output=True, text=True)
    check('mandoc_has_nothing_to_say', done.returncode == 0, done.stdout + done.stderr)


# -------------------------------------------------------------------- examples

# What the examples take for granted.
PRELUDE = r'''
#include "kin.h"
#include "kin_io.h"
#include "kin_os.h"
#include "kin_ext.h"
#include "kin_http.h"
#include "kin_tls.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
struct page { char *url; int status; };
struct user { int id; };
struct question { const char *text; char *answer; };
char *slow_library_call(const char *text);
int tell(struct question *question);
void read_configuration(void *arg);
int download(const char *url), work(void *arg), prepare(void *arg), commit(void *arg);
int fetch_user(void *arg);
void beat(void *arg);
'''
LOCALS = '''
    kin_group g = kin_group_open(.name = "g");
    struct page page = { 0 };
    struct user user = { 0 };
    char buffer[64], *text = NULL;
    size_t size = 0;
    ssize_t n = 0;
    int rc = 0, fd = 0;

    (void)arg, (void)user, (void)page, (void)n, (void)fd, (void)buffer, (void)g;
    (void)text, (void)size;
'''


def program(block):
    """A whole program's text: the block is code of a function, or declarations."""
    fetch = '' if 'int fetch(void *arg)' in block else 'int fetch(void *arg);\n'
    if re.search(r'^\{', block, flags=re.M):
        return PRELUDE + fetch + block
    return f'{PRELUDE}{fetch}int example(void *arg);\nint example(void *arg)\n{{{LOCALS}' \
           f'    {{\n{block}\n    }}\n    return rc;\n}}\n'


def compiles(source, compiler, block):
    done = subprocess.run(
        [*compiler, '-std=gnu11', '-Wall', '-Wextra', '-Werror', '-Wno-unused', '-D_GNU_SOURCE',
         '-fsyntax-only', f'-I{source / "include"}', '-xc', '-'],
        input=program(block), capture_output=True, text=True)
    return done.stderr if done.returncode else None


def check_examples(source, compiler, pages):
    for page in pages:
        for number, block in enumerate(page.examples(), 1):
            wrong = compiles(source, compiler, block)
            check(f'example_{number}_of_{page.name}_compiles', not wrong, wrong)


# ---------------------------------------------------------------- cancellation

def judge(name, kind, got):
    """What a call did inside a cancelled scope, and outside; or why that is wrong."""
    if name not in got:
        return f'{name} is not in points.c'
    code, told, switched, free = got[name]
    if free == 'KIN_ECANCELED' or (kind == 'always' and free != 'OK' and
                                   name not in FAIL_UNCANCELLED):
        return f'{name} returns {free} where nothing is cancelled'
    if switched and name not in WAIT_ALWAYS:
        return f'{name} lets others run inside a cancelled scope'
    looks = {'always': True, 'never': False}[kind]
    if (code == 'KIN_ECANCELED', told) != (looks, looks):
        return f'{name}: the page says {kind}, but it returns {code}' \
               f'{" and the scope was told" if told else ""}'
    return None


def check_points(pages, points, without):
    done = subprocess.run([points], capture_output=True, text=True, timeout=120)
    lines = [line.split() for line in done.stdout.splitlines() if line.count(' ') == 4]
    got = {name: (code, told == '1', switched == '1', free)
           for name, code, told, switched, free in lines}
    check('the_program_of_the_points_ran', done.returncode == 0 and len(got) == len(lines),
          f'exit status {done.returncode}, {done.stderr}after {done.stdout[-200:]}')
    if done.returncode != 0:
        return
    said = {name: kind for page in pages for name, kind in page.cancellation().items()
            if not any(library in name for library in without)}
    for name, kind in sorted(said.items()):
        wrong = judge(name, kind, got)
        rule = 'C1' if kind == 'always' else 'C4'
        check(f'{rule}_{name}_is_{kind}_a_cancellation_point', not wrong, wrong)
    check('no_point_without_a_page', not set(got) - set(said), sorted(set(got) - set(said)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('source', type=pathlib.Path)
    parser.add_argument('--points')
    parser.add_argument('--without', action='append', default=[])
    parser.add_argument('--cc', nargs=argparse.REMAINDER, default=['cc'])
    arguments = parser.parse_args()
    pages = read_pages(arguments.source)
    if arguments.points:
        check_points(pages, arguments.points, arguments.without)
    else:
        headers = Headers(arguments.source)
        check_names(headers, pages)
        check_synopses(headers, pages)
        check_members(headers, pages)
        check_cancellation(headers, pages)
        check_overview(headers, pages)
        check_sections(headers, pages)
        check_codes(headers, pages)
        check_installed(arguments.source, pages)
        check_links(arguments.source, pages)
        check_lint(arguments.source)
        check_examples(arguments.source, arguments.cc, pages)
    print(f'1..{len(results)}')
    sys.exit(not all(results))


main()
