"""What a compiled kernel's assembly is made of."""

import re


def instructions_of(assembly):
    return [line.split("\t")[1] for line in assembly.strip().splitlines()[1:] if not line.endswith(":")]


def inner_loops(assembly):
    """First instruction, and that after the last, of each loop that has no other inside."""
    labels, count, found = {}, 0, []
    for line in assembly.strip().splitlines()[1:]:
        if line.endswith(":"):
            labels[line[:-1]] = count
            continue
        count += 1
        jump = re.search(r"BRA (\w+);", line)
        if jump and jump[1] in labels and labels[jump[1]] < count - 1:
            found.append((labels[jump[1]], count))
    return [a for a in found if not any(a != b and a[0] <= b[0] and b[1] <= a[1] for b in found)]
