"""Triton code that more than one op uses: functions that kernels call, and what their
launchers need beside them."""
