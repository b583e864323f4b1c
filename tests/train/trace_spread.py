# How far PyTorch in float32 departs from the float64 record of a whole fine_tune: relative errors of each step's
# loss / whole gradient norm / worst tensor's gradient norm, and of the validation logits.
#   MODE=nchw|cl|mkloff T=threads [ONEDNN_MAX_CPU_ISA=...] python trace_spread.py GOLDEN_DIR
# (pip install torch torchvision fastai safetensors)
import sys, json, os, math, torch
golden = sys.argv[1]
src=open(golden+'/generate/generate.py').read()
pre=src[:src.index('# ---------- 1.')]; w=src[src.index('# ---------- 2.'):src.index('# ---------- 3.')]
import tempfile; sys.argv=['x',tempfile.mkdtemp(),'1',golden,'x']
exec(pre+w)
from safetensors.torch import load_file
G=json.load(open(golden+'/fine_tune.json')); I=load_file(golden+'/fine_tune.safetensors')
mode=os.environ.get('MODE','nchw')
m=net(5,'')
if mode=='mkloff': torch.backends.mkldnn.enabled=False
torch.set_num_threads(int(os.environ.get('T','2')))
if mode=='cl': m=m.to(memory_format=torch.channels_last)
bs=8
tx,ty=I['train_x'].float(),I['train_y']
if mode=='cl': tx=tx.contiguous(memory_format=torch.channels_last)
names={id(p):our(n) for n,p in m.named_parameters()}
class DL:
    def __init__(s,x,y,b): s.x,s.y,s.b=x,y,b; s.device=torch.device('cpu'); s.n=len(x); s.bs=b; s.dataset=list(range(len(x)))
    def __len__(s): return len(s.x)//s.b
    def __iter__(s): return iter([(s.x[i*s.b:(i+1)*s.b],s.y[i*s.b:(i+1)*s.b]) for i in range(len(s))])
    def to(s,d): return s
dls=DataLoaders(DL(tx,ty,bs),DL(I['valid_x'].float(),I['valid_y'],12))
k=[0]; out=[]
class Rec(Callback):
    def after_backward(self):
        s=G['steps'][k[0]]; k[0]+=1
        g={names[id(p)]:float((p.grad.double()**2).sum().sqrt()) for p in m.parameters() if p.grad is not None and p.requires_grad}
        gn=math.sqrt(sum(v*v for v in g.values()))
        out.append((abs(float(self.loss)-s['loss'])/s['loss'], abs(gn-s['grad_norm'])/s['grad_norm'], max(abs(g[n]-v)/v for n,v in s['grad_l2'].items())))
learn=Learner(dls,m,loss_func=F.cross_entropy,opt_func=Adam,splitter=vl._resnet_split,metrics=error_rate,cbs=[Rec()],moms=(.95,.85,.95))
with learn.no_bar(),learn.no_logging(): learn.fine_tune(1)
m.eval()
with torch.no_grad(): lg=m(I['valid_x'].float())
e=I['valid_logits_after']
print(mode,os.environ.get('T'),os.environ.get('ONEDNN_MAX_CPU_ISA'),' '.join('%.1e/%.1e/%.1e'%o for o in out),'logits %.1e'%float((lg-e).abs().max()/e.abs().max()))
