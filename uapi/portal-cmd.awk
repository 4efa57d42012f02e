# SPDX-License-Identifier: GPL-2.0-only
#
# portal_cmd.def -> layouts to be hashed, portal_cmd.h, or commands.rst; see
# portal-cmd.sh. Any awk.

function bad(why)
{
	printf "%s:%d: %s\n", FILENAME, FNR, why >"/dev/stderr"
	failed = 1
	exit 1
}

function rest(n,    i, s)
{
	for (i = n; i <= NF; i++)
		s = s (i > n ? " " : "") $i
	return s
}

function size_of(type)
{
	if (type ~ /^[us]8$/)
		return 1
	if (type ~ /^[us]16$/)
		return 2
	if (type ~ /^[us]32$/)
		return 4
	if (type ~ /^[us]64$/)
		return 8
	if (type ~ /^char[0-9]+$/)
		return substr(type, 5) + 0
	bad("unknown type " type)
}

function c_field(type, name)
{
	if (type ~ /^char/)
		return "__u8 " name "[" substr(type, 5) "]"
	if (type ~ /64$/)
		return "__aligned_" (type ~ /^s/ ? "s64 " : "u64 ") name
	return "__" type " " name
}

# the last struct is over: no hidden padding at its end
function end_struct()
{
	if (cur != "" && s_size[cur] % s_align[cur])
		bad("struct " cur ": " s_size[cur] " bytes are no multiple of " s_align[cur])
	cur = ""
}

BEGIN { tail_kinds = " - bytes path strings " }

# the hashes come first, as NUMBER HASH
NF == 2 && /^0x[0-9a-f]+ [0-9a-f]+$/ { op_hash[$1] = $2; next }
/^#/ || NF == 0 { next }
/^class / {
	classes[nr_classes++] = $2
	class_bit[$2] = $3
	class_text[$2] = rest(4)
	next
}
/^struct / {
	end_struct()
	if ($2 in s_size)
		bad("struct " $2 " twice")
	cur = $2
	structs[nr_structs++] = cur
	s_size[cur] = 0
	s_align[cur] = 1
	s_fields[cur] = 0
	next
}
/^op / {
	end_struct()
	if ($3 in number || $2 in by_number)
		bad("op " $2 " " $3 " twice")
	if (!($4 in class_bit))
		bad("unknown class " $4)
	o = $3
	ops[nr_ops++] = o
	number[o] = $2
	by_number[$2] = o
	class_of[o] = $4
	in_struct[o] = out_struct[o] = in_tail[o] = out_tail[o] = "-"
	next
}
/^\t/ && cur != "" {
	n = size_of($1)
	align = $1 ~ /^char/ ? 1 : n
	if (s_size[cur] % align)
		bad("field " $2 " is not aligned")
	if (align > s_align[cur])
		s_align[cur] = align
	i = s_fields[cur]++
	f_type[cur, i] = $1
	f_name[cur, i] = $2
	f_off[cur, i] = s_size[cur]
	f_text[cur, i] = rest(3)
	s_size[cur] += n
	next
}
/^\tuse / { uses[o] = uses[o] " " $2; use_text[o, $2] = rest(3); next }
/^\tresult / { results[o] = results[o] " " $2; result_text[o, $2] = rest(3); next }
/^\terror / { errors[o] = errors[o] " " $2; error_text[o, $2] = rest(3); next }
/^\tin / { in_struct[o] = $2; in_tail[o] = $3; in_text[o] = rest(4); next }
/^\tout / { out_struct[o] = $2; out_tail[o] = $3; out_text[o] = rest(4); next }
/^\talso / { also[o] = also[o] " " $2; next }
/^\tseed / { seed[o] = rest(2); next }
/^\tdoc / { doc[o] = rest(2); next }
{ bad("not understood: " $0) }

END {
	if (failed)
		exit 1
	for (i = 0; i < nr_ops; i++)
		check_op(ops[i])
	if (mode == "layout")
		layout()
	else if (mode == "header")
		header()
	else
		rst()
}

function known(o, s)
{
	if (s != "-" && !(s in s_size))
		bad("op " o ": no struct " s)
}

function check_op(o,    i, more)
{
	known(o, in_struct[o])
	known(o, out_struct[o])
	for (i = split(also[o], more, " "); i > 0; i--)
		known(o, more[i])
	if (index(tail_kinds, " " in_tail[o] " ") == 0)
		bad("op " o ": unknown payload " in_tail[o])
	if (index(tail_kinds, " " out_tail[o] " ") == 0)
		known(o, out_tail[o])
	if (doc[o] == "")
		bad("op " o ": no doc")
}

function layout_struct(o, s,    i)
{
	for (i = 0; s in s_size && i < s_fields[s]; i++)
		print number[o], s, f_type[s, i], f_name[s, i]
}

function layout(    i, j, o, more)
{
	for (i = 0; i < nr_ops; i++) {
		o = ops[i]
		print number[o], o, class_bit[class_of[o]], "use" uses[o], "in", in_struct[o],
			in_tail[o], "out", out_struct[o], out_tail[o], "result" results[o]
		layout_struct(o, in_struct[o])
		for (j = split(also[o], more, " "); j > 0; j--)
			layout_struct(o, more[j])
		layout_struct(o, out_struct[o])
		layout_struct(o, out_tail[o])
	}
}

function c_struct(s)
{
	return "struct portal_cmd_" s
}

function kind(tail)
{
	if (tail in s_size)
		return "PORTAL_TAIL_RECORDS"
	if (tail == "-")
		return "PORTAL_TAIL_NONE"
	return "PORTAL_TAIL_" toupper(tail)
}

function use_bits(o,    n, i, f, s)
{
	n = split(uses[o], f, " ")
	for (i = 1; i <= n; i++)
		s = s (i > 1 ? " | " : "") "PORTAL_USE_" toupper(f[i])
	return n ? s : "0"
}

function bytes(s)
{
	return s in s_size ? s_size[s] : 0
}

function header(    i, j, o, s)
{
	print "/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR MIT */"
	print "/*\n * portal_cmd.h - commands for the agent in the guest\n *"
	print " * Made by uapi/portal-cmd.sh from portal_cmd.def: change that."
	print " * Documentation/portal/commands.rst says what each does.\n */"
	print "#ifndef _UAPI_LINUX_PORTAL_CMD_H\n#define _UAPI_LINUX_PORTAL_CMD_H\n"
	print "#include <linux/types.h>\n"
	print "#ifndef __aligned_s64\n#define __aligned_s64 __s64 __attribute__((aligned(8)))\n#endif\n"
	print "#define PORTAL_CMD_VERSION\t1"
	print "/* of all numbers and layouts below */"
	printf "#define PORTAL_CMD_ABI_HASH\t0x%sULL\n\n", hash
	print "/* What the guest's owner can allow, as bits. */"
	print "enum portal_cmd_class {"
	for (i = 0; i < nr_classes; i++)
		printf "\tPORTAL_CLASS_%s = %d,\t/* %s */\n", toupper(classes[i]),
			class_bit[classes[i]], class_text[classes[i]]
	print "};\n\nenum portal_cmd_op {"
	for (i = 0; i < nr_ops; i++)
		printf "\tPORTAL_CMD_%s = %s,\n", toupper(ops[i]), number[ops[i]]
	print "};\n"
	for (i = 0; i < nr_structs; i++) {
		s = structs[i]
		print "/**\n * " c_struct(s) " - little endian"
		for (j = 0; j < s_fields[s]; j++)
			print " * @" f_name[s, j] ": " f_text[s, j]
		print " */\n" c_struct(s) " {"
		for (j = 0; j < s_fields[s]; j++)
			print "\t" c_field(f_type[s, j], f_name[s, j]) ";"
		print "};\n"
	}
	print "/* Fields of struct portal_cmd that a command looks at. */"
	print "#define PORTAL_USE_PID\t\t(1U << 0)\n#define PORTAL_USE_ADDR\t\t(1U << 1)"
	print "#define PORTAL_USE_SIZE\t\t(1U << 2)\n"
	print "/* What follows the struct of a payload. */"
	print "#define PORTAL_TAIL_NONE\t0\n#define PORTAL_TAIL_BYTES\t1"
	print "#define PORTAL_TAIL_PATH\t2\t/* one string */"
	print "#define PORTAL_TAIL_STRINGS\t3\t/* each with its NUL */"
	print "#define PORTAL_TAIL_RECORDS\t4\n"
	print "/* X(NAME, name, bit, text) */\n#define PORTAL_CMD_CLASSES(X) \\"
	for (i = 0; i < nr_classes; i++)
		printf "\tX(%s, %s, %d, \"%s\")%s\n", toupper(classes[i]), classes[i],
			class_bit[classes[i]], class_text[classes[i]],
			i < nr_classes - 1 ? " \\" : ""
	print "\n/*\n * X(NAME, name, CLASS, use, in_size, in_tail, out_size, out_tail, out_record, hash):"
	print " * bytes of the payload's struct and what follows, the same of the answer, bytes of a\n * record, hash of this command's layout\n */"
	print "#define PORTAL_CMD_TABLE(X) \\"
	for (i = 0; i < nr_ops; i++) {
		o = ops[i]
		printf "\tX(%s, %s, %s, \\\n\t  %s, %d, %s, \\\n\t  %d, %s, %d, 0x%sU)%s\n", toupper(o), o,
			toupper(class_of[o]), use_bits(o), bytes(in_struct[o]), kind(in_tail[o]),
			bytes(out_struct[o]), kind(out_tail[o]), bytes(out_tail[o]),
			op_hash[number[o]], i < nr_ops - 1 ? " \\" : ""
	}
	print "\n/* X(struct, bytes) */\n#define PORTAL_CMD_STRUCTS(X) \\"
	for (i = 0; i < nr_structs; i++)
		printf "\tX(%s, %d)%s\n", c_struct(structs[i]), s_size[structs[i]],
			i < nr_structs - 1 ? " \\" : ""
	print "\n#endif /* _UAPI_LINUX_PORTAL_CMD_H */"
}

function line(char, n,    s)
{
	while (n-- > 0)
		s = s char
	return s
}

function title(text, char)
{
	print text "\n" line(char, length(text)) "\n"
}

function texts(o, list, what, table,    n, i, f)
{
	n = split(list, f, " ")
	for (i = 1; i <= n; i++)
		printf "* %s``%s``: %s\n", what, f[i], table[o, f[i]]
}

function payload(s, tail, text,    p)
{
	if (s != "-")
		p = "``" c_struct(s) "``"
	if (tail != "-")
		p = p (p == "" ? "" : ", then ") \
			(tail in s_size ? "records ``" c_struct(tail) "``" : tail)
	return p (text == "" || text == "-" ? "" : " (" text ")")
}

function rst(    i, j, o, s, c)
{
	print ".. SPDX-License-Identifier: GPL-2.0-only"
	print ".. Made by uapi/portal-cmd.sh from uapi/linux/portal_cmd.def: change that.\n"
	print "========\nCommands\n========\n"
	print "Plugins send these to the agent in the guest (``portal_guest.ko agent=CLASS,...``)."
	print "channel.rst says how; numbers and layouts are in ``uapi/linux/portal_cmd.h``. Each"
	print "ends with a status: 0 or an errno. Beside those named, any command gives EPERM (its"
	print "class is not allowed), ENOSYS (the agent has no such command), EPROTONOSUPPORT (another"
	print "version), EINVAL (a flag, or a payload that is none), EMSGSIZE (payload or answer is too"
	print "large), EFAULT (payload or answer outside of the data region), ESRCH (no such process),"
	print "ENOMEM, ECANCELED, and on the host's side ETIME (its time-out), ENOTCONN (no agent),"
	print "ECONNRESET (the guest or its agent went away).\n"
	print "ABI hash " hash ".\n"
	title("Classes", "=")
	for (i = 0; i < nr_classes; i++)
		printf "``%s`` (bit %d)\n\t%s\n", classes[i], class_bit[classes[i]],
			class_text[classes[i]]
	for (c = 0; c < nr_classes; c++) {
		print ""
		title("Class " classes[c], "=")
		for (i = 0; i < nr_ops; i++) {
			o = ops[i]
			if (class_of[o] != classes[c])
				continue
			title(o " (" number[o] ")", "-")
			print doc[o] "\n"
			texts(o, uses[o], "", use_text)
			s = payload(in_struct[o], in_tail[o], in_text[o])
			if (s != "")
				print "* payload: " s
			s = payload(out_struct[o], out_tail[o], out_text[o])
			if (s != "")
				print "* answer: " s
			texts(o, results[o], "result ", result_text)
			texts(o, errors[o], "", error_text)
			if (seed[o] != "")
				print "* Penguin: " seed[o]
			print ""
		}
	}
	title("Layouts", "=")
	for (i = 0; i < nr_structs; i++) {
		s = structs[i]
		print "``" c_struct(s) "``, " s_size[s] " bytes\n"
		for (j = 0; j < s_fields[s]; j++)
			printf "* %d ``%s %s``: %s\n", f_off[s, j], f_type[s, j], f_name[s, j],
				f_text[s, j]
		print ""
	}
}
