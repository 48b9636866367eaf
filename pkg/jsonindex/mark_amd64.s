//go:build amd64 && !purego

#include "textflag.h"

// func markAVX2(text *byte, n int, quotes, backslashes, controls *uint64) (slashes, lowest uint64)
TEXT ·markAVX2(SB), NOSPLIT, $0-56
	MOVQ text+0(FP), SI
	MOVQ n+8(FP), CX
	MOVQ quotes+16(FP), DI
	MOVQ backslashes+24(FP), R8
	MOVQ controls+32(FP), R9
	XORQ R10, R10 // all backslashes
	XORQ R11, R11 // all control characters

	// The bytes to compare with, in every lane.
	MOVQ $0x2222222222222222, AX // a quote
	VMOVQ AX, X0
	VPBROADCASTQ X0, Y0
	MOVQ $0x5c5c5c5c5c5c5c5c, AX // a backslash
	VMOVQ AX, X1
	VPBROADCASTQ X1, Y1
	MOVQ $0x1f1f1f1f1f1f1f1f, AX // the last control character
	VMOVQ AX, X2
	VPBROADCASTQ X2, Y2

loop:
	VMOVDQU (SI), Y3
	VMOVDQU 32(SI), Y4

	VPCMPEQB Y0, Y3, Y5
	VPCMPEQB Y0, Y4, Y6
	VPMOVMSKB Y5, AX
	VPMOVMSKB Y6, BX
	SHLQ $32, BX
	ORQ BX, AX
	MOVQ AX, (DI)

	VPCMPEQB Y1, Y3, Y5
	VPCMPEQB Y1, Y4, Y6
	VPMOVMSKB Y5, AX
	VPMOVMSKB Y6, BX
	SHLQ $32, BX
	ORQ BX, AX
	MOVQ AX, (R8)
	ORQ AX, R10

	// A byte is a control character where the smaller of both is the byte itself.
	VPMINUB Y2, Y3, Y5
	VPMINUB Y2, Y4, Y6
	VPCMPEQB Y3, Y5, Y5
	VPCMPEQB Y4, Y6, Y6
	VPMOVMSKB Y5, AX
	VPMOVMSKB Y6, BX
	SHLQ $32, BX
	ORQ BX, AX
	MOVQ AX, (R9)
	ORQ AX, R11

	ADDQ $64, SI
	ADDQ $8, DI
	ADDQ $8, R8
	ADDQ $8, R9
	DECQ CX
	JNZ loop

	VZEROUPPER
	MOVQ R10, slashes+40(FP)
	MOVQ R11, lowest+48(FP)
	RET
